"""Authorization of the routes other than GraphQL: imports and exports."""

from __future__ import annotations

from starlette.requests import Request

from regulars.accounts.grants import Grant
from regulars.core.scopes import READ
from regulars.directory.sources import Source
from regulars.http.credentials import Authenticator
from regulars.http.errors import Headers, forbidden, unauthenticated
from regulars.http.messages import change_header, index_headers
from regulars.http.rates import RateLimiter, charge
from regulars.http.request_observer import RequestRecord


class Authorizer:
    """Authorizes the requests of a route. Each costs `cost` points of the token's rate."""

    def __init__(
        self,
        authenticator: Authenticator,
        rate_limiter: RateLimiter | None,
        cost: int,
        source: Source,
    ) -> None:
        self._authenticator = authenticator
        self._rate_limiter = rate_limiter
        self._cost = cost
        self._source = source

    async def authorize(self, record: RequestRecord, request: Request, scope: str) -> Grant:
        """Returns the grant of a request. Raises HTTPError: 401 without a valid token or session,
        403 if the grant lacks the scope or another site sends the request."""
        headers = index_headers(request.scope["headers"])
        grant = await self._authenticator.authenticate(headers, request.method)
        if grant is None:
            raise unauthenticated()
        record.grant = grant
        if scope not in grant.scopes:
            raise forbidden(scope)
        return grant

    async def charge(self, record: RequestRecord, grant: Grant) -> None:
        """Takes the cost from the token's rate. Raises HTTPError (429)."""
        record.cost = self._cost
        await charge(self._rate_limiter, grant, self._cost)

    async def change_header(self, grant: Grant) -> Headers:
        """Returns the header with the number of the account's last change. Returns no header if the
        number is unknown, or if the grant cannot read: it shows whether a write changed
        something."""
        if READ not in grant.scopes:
            return []
        return change_header(await self._source.last_change(grant.account_id))
