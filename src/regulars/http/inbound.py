"""The route `POST /in/<account>/<type>`: receives the events of shops."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.directory.sources import Source
from regulars.http.errors import (
    account_disabled,
    bad_signature,
    earlier_event_missing,
    method_not_allowed,
)
from regulars.http.in_flight import InFlight
from regulars.http.messages import JSON, Reply, build_json_reply, change_header, read_body
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler
from regulars.orders.shop_events import TYPES
from regulars.store import Store
from regulars.webhooks.inbox import EarlierEventMissing, Inbox, delivery_of, is_genuine
from regulars.webhooks.signatures import accepted_secrets


class ShopEventHandler(RouteHandler):
    """Receives the events of shops. Each is authenticated by its signature, not by a token."""

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
        self._max_body_bytes = max_body_bytes

    async def handle(self, record: RequestRecord, request: Request, send: ResponseSender) -> Reply:  # noqa: ARG002  # sends nothing itself
        if record.method != "POST":
            raise method_not_allowed(record.method, "POST", "Use POST to send events.")
        body = await read_body(request.receive, self._max_body_bytes)
        task = self._in_flight.enter()
        try:
            return await self._receive(record, request, body)
        finally:
            self._in_flight.leave(task)

    async def _receive(self, record: RequestRecord, request: Request, body: bytes) -> Reply:
        name, type_ = request.path_params["account"], request.path_params["type"]
        record.kind, record.operation = "event", type_.replace("/", "_") if type_ in TYPES else ""
        signature = request.headers.get("lightfunnels-hmac", "")
        account = await self._accounts.find(name)
        now = now_ms()
        # For an unknown account the steps and the response are the same.
        account_id = account.account_id if account else 0
        secrets = await accepted_secrets(self._store, account_id, now)
        if not await is_genuine(secrets, signature, body):
            raise bad_signature()
        if account is not None and account.disabled_at is not None:
            raise account_disabled()
        delivery_id = delivery_of(request.headers)
        request_id = record.request_id.decode()
        try:
            result = await self._inbox.take(account_id, type_, body, now, request_id, delivery_id)
        except EarlierEventMissing as error:
            raise earlier_event_missing() from error
        data: dict[str, Any] = {"understood": result.inbox_id is None}
        if result.inbox_id is not None:
            data |= {"inbox_id": result.inbox_id, "problem": result.problem}
        headers = change_header(await self._source.last_change(account_id))
        return build_json_reply(200, {"data": data}, JSON, record.request_id, headers)
