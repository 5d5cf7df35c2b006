"""The address at which a shop tells what happens: `POST /in/<account>/<type>`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from regulars.directory.accounts import Accounts, now_ms
from regulars.directory.shop_events import TYPES
from regulars.directory.sources import Source
from regulars.http.errors import bad_signature, earlier_event_missing, method_not_allowed
from regulars.http.in_flight import InFlight
from regulars.http.messages import JSON, Reply, change_header, json_reply, read_body
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler
from regulars.store import Store
from regulars.webhooks.inbox import EarlierEventMissing, Inbox, delivery_of, is_genuine
from regulars.webhooks.signatures import accepted_secrets


class ShopEventHandler(RouteHandler):
    """Takes events."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        in_flight: InFlight,
        observer: RequestObserver,
        max_body_bytes: int,
        source: Source,
    ) -> None:
        super().__init__(observer)
        self._store = store
        self._source = source
        self._accounts = accounts
        self._inbox = Inbox(store)
        self._in_flight = in_flight
        self._most = max_body_bytes

    async def handle(self, record: RequestRecord, request: Request, send: ResponseSender) -> Reply:  # noqa: ARG002  # sends nothing itself
        if record.method != "POST":
            raise method_not_allowed(record.method, "POST", "A shop's events come by POST.")
        body = await read_body(request.receive, self._most)
        task = self._in_flight.enter()
        try:
            return await self._take(record, request, body)
        finally:
            self._in_flight.leave(task)

    async def _take(self, record: RequestRecord, request: Request, body: bytes) -> Reply:
        name, type_ = request.path_params["account"], request.path_params["type"]
        record.kind, record.operation = "event", type_.replace("/", "_") if type_ in TYPES else ""
        proof = request.headers.get("lightfunnels-hmac", "")
        account = await self._accounts.find(name)
        now = now_ms()
        # An account that does not exist takes the same steps, and gets the same answer.
        account_id = account.account_id if account else 0
        known = await accepted_secrets(self._store, account_id, now)
        if not await is_genuine(known, proof, body):
            raise bad_signature()
        sent = delivery_of(request.headers)
        request_id = record.request_id.decode()
        try:
            found = await self._inbox.take(account_id, type_, body, now, request_id, sent)
        except EarlierEventMissing as error:
            raise earlier_event_missing() from error
        told: dict[str, Any] = {"understood": found.inbox_id is None}
        if found.inbox_id is not None:
            told |= {"inbox_id": found.inbox_id, "problem": found.problem}
        last = change_header(await self._source.last_change(account_id))
        return json_reply(200, {"data": told}, JSON, record.request_id, last)
