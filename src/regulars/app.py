"""Assembles the ASGI application."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regulars import startup
from regulars.accounts.accounts import Accounts
from regulars.accounts.sessions import Sessions
from regulars.api.errors import UNAVAILABLE, describe
from regulars.configuration import build_engine, directory_limits, request_limits
from regulars.core.account_worker import AccountWorker
from regulars.customers.rebuild_worker import RebuildWorker
from regulars.directory.database import replicas_for, store_for
from regulars.directory.sources import Sources
from regulars.environment import load_settings
from regulars.graphql import Engine
from regulars.housekeeping import Housekeeping
from regulars.http import log
from regulars.http.authorizer import Authorizer
from regulars.http.buffers import BufferBudget
from regulars.http.bulkhead import Bulkhead
from regulars.http.cors import CORS
from regulars.http.credentials import CredentialsAuthenticator
from regulars.http.draining import Draining
from regulars.http.endpoint import GraphQLEndpoint
from regulars.http.errors import RETRY, HTTPError, method_not_allowed, not_found, nul_in_address
from regulars.http.exports import PATH as EXPORT_PATH
from regulars.http.exports import ExportHandler
from regulars.http.fast_path import FastPath
from regulars.http.health import Health
from regulars.http.imports import PATH as IMPORT_PATH
from regulars.http.imports import ImportHandler
from regulars.http.in_flight import InFlight
from regulars.http.inbound import ShopEventHandler
from regulars.http.jobs import PATH as JOBS_PATH
from regulars.http.jobs import JobHandler
from regulars.http.messages import (
    Receive,
    Scope,
    Send,
    choose_request_id,
    index_headers,
)
from regulars.http.metrics import Metrics
from regulars.http.pages import ASSETS, Pages
from regulars.http.rates import LocalRateLimiter, RateLimiter, SharedRateLimiter
from regulars.http.request_observer import LogAndMetricsObserver
from regulars.http.route_handler import build_error_response
from regulars.http.sessions import PATH as SESSION_PATH
from regulars.http.sessions import SessionHandler
from regulars.http.streaming import HEAD_ONLY
from regulars.operator_figures import OperatorFigures
from regulars.orders.recount import RecountWorker
from regulars.segments.worker import SegmentWorker
from regulars.settings import Settings
from regulars.store import Unreachable
from regulars.store.postgresql.replicas import running_replicas
from regulars.store.statement_times import statement_times
from regulars.transfer.jobs import Jobs
from regulars.webhooks.worker import Worker

if TYPE_CHECKING:
    from regulars.tracing import Tracing

# The path of the API, and two older ones that clients use.
GRAPHQL_PATHS = ("/api/v2", "/graphql", "/api2")
# The cost of an import or an export, in points.
TRANSFER_COST = 1_000
_SAMPLE_INTERVAL_SECONDS = 5
_OPEN_INTERVAL_SECONDS = 1
# The handlers of the pages refuse methods themselves, with errors of Regulars.
_ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_log = logging.getLogger("regulars.server")


class Application:
    """Regulars as an ASGI application. It matches GraphQL paths (`graphql_at`) before Starlette's
    routing, which would take longer than the rest of a small request."""

    def __init__(self, settings: Settings) -> None:
        self._store = store_for(
            settings.database_url, settings.request_seconds, pool_size=settings.pool_size
        )
        self.draining = Draining(settings.drain_seconds)
        self._housekeeping = Housekeeping(self._store, settings.inbox_days)
        self._replicas = replicas_for(
            self._store, settings.replica_urls, settings.request_seconds, settings.replica_seconds
        )
        self._accounts = Accounts(self._store)
        self._sessions = Sessions(self._store, self._accounts, settings.session_hours)
        authenticator = CredentialsAuthenticator(self._accounts, self._sessions)
        self._metrics = Metrics()
        self._figures = OperatorFigures(self._store, self._metrics, settings.backup_folder)
        statement_times.slow_seconds = settings.slow_statement_seconds
        engine = build_engine(settings)
        in_flight = InFlight(settings.max_requests, settings.request_seconds)
        self._observer = LogAndMetricsObserver(self._metrics, settings.log_requests)
        rate_limiter = self._create_rate_limiter(settings)
        self._bulkhead = self._create_bulkhead(settings)
        sources = Sources(self._store, self._replicas, directory_limits(settings))
        graphql = GraphQLEndpoint(
            engine,
            authenticator,
            sources,
            request_limits(settings),
            in_flight,
            self._observer,
            rate_limiter,
            CORS(settings.cors_origins) if settings.cors_origins else None,
            self._bulkhead,
        )
        self._add_gauges(in_flight, graphql, engine)
        self._tracing: Tracing | None = None
        if settings.tracing:
            from regulars.tracing import Tracing

            self._tracing = Tracing()
            self._tracing.trace_requests(graphql, self._observer)
            self._tracing.trace_plans(engine)
            self._tracing.trace_statements(self._store)
            if self._bulkhead is not None:
                self._tracing.trace_forwards(self._bulkhead)
        self._worker = self._create_worker(settings) if settings.webhook_worker else None
        self._segment_worker = (
            SegmentWorker(
                self._store, settings.segment_sweep_seconds, self._store.dialect == "sqlite"
            )
            if settings.webhook_worker
            else None
        )
        self._recount_worker = RecountWorker(self._store)
        self._rebuild_worker = RebuildWorker(self._store)
        self.buffers = BufferBudget(settings.max_buffered_bytes)
        self.min_read_rate = settings.min_read_rate
        self.upload_at = IMPORT_PATH
        self.graphql_at: Mapping[str, GraphQLEndpoint] = dict.fromkeys(GRAPHQL_PATHS, graphql)
        self.fast_path = (
            FastPath(self.graphql_at, settings.max_header_bytes) if settings.fast_path else None
        )
        inbound = ShopEventHandler(
            self._store,
            self._accounts,
            in_flight,
            self._observer,
            settings.max_body_bytes,
            sources.primary,
        )
        self._jobs = Jobs(self._store, settings.environment())
        authorizer = Authorizer(
            authenticator, rate_limiter, min(TRANSFER_COST, settings.max_cost), sources.primary
        )
        exports = ExportHandler(self._store, authorizer, self._observer, settings.max_body_bytes)
        imports = ImportHandler(
            self._store, authorizer, self._observer, self._jobs, settings.max_import_bytes
        )
        jobs = JobHandler(self._store, authorizer, self._observer)
        session = SessionHandler(self._sessions, settings.session_hours, self._observer)
        pages = Pages(settings.gravatar)
        health = Health(self._store, self._accounts, self._metrics_text, self.draining)
        self._starlette = Starlette(
            routes=[
                Route("/healthz", health.alive),
                Route("/readyz", health.ready),
                Route("/metrics", health.metrics),
                Route("/in/{account}/{type:path}", inbound),
                Route(EXPORT_PATH, exports),
                Route(IMPORT_PATH, imports),
                Route(f"{IMPORT_PATH}/{{import}}", imports),
                Route(f"{IMPORT_PATH}/{{import}}/{{part}}", imports),
                Route(JOBS_PATH, jobs),
                Route(f"{JOBS_PATH}/{{job}}", jobs),
                Route(f"{JOBS_PATH}/{{job}}/{{part}}", jobs),
                Route(SESSION_PATH, session),
                *_create_page_routes(pages),
            ],
            exception_handlers={405: _method_not_allowed, Exception: _internal_error},
            lifespan=self._lifespan,
        )
        self._starlette.router.redirect_slashes = False  # `_normalize` removes the slash
        self._starlette.router.default = partial(_respond_not_found, pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._starlette(scope, receive, send)
            return
        scope = _normalize(scope)
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            # PostgreSQL cannot store NUL, and rejects a parameter that contains one.
            request_id = choose_request_id(index_headers(scope["headers"]))
            await build_error_response(nul_in_address(), request_id)(scope, receive, send)
        else:
            await self.graphql_at.get(scope["path"], self._starlette)(scope, receive, send)

    def _create_rate_limiter(self, settings: Settings) -> RateLimiter | None:
        rate, burst = settings.points_per_second, settings.rate_burst
        if not rate:
            return None
        if self._store.dialect == "sqlite":
            return LocalRateLimiter(rate, burst)
        return SharedRateLimiter(rate, burst, self._store)

    def _create_bulkhead(self, settings: Settings) -> Bulkhead | None:
        if not settings.bulkhead or os.name != "posix":
            return None
        return Bulkhead(settings.environment(), self._metrics.count_forwarded)

    def _create_worker(self, settings: Settings) -> Worker:
        is_only_process = self._store.dialect == "sqlite"
        private, seconds = settings.webhook_private_targets, settings.webhook_retry_seconds
        worker = Worker(self._store, private, seconds, is_only_process, self._metrics.count_attempt)
        description = "Webhooks that this server sends events to at the moment."
        self._metrics.add_gauge("regulars_webhooks_busy", description, lambda: worker.busy_count)
        return worker

    def _add_gauges(self, in_flight: InFlight, graphql: GraphQLEndpoint, engine: Engine) -> None:
        gauge, store = self._metrics.add_gauge, self._store
        gauge("regulars_requests_in_flight", "Requests in progress.", lambda: len(in_flight))
        description = "Requests that wait for their account's turn."
        gauge("regulars_requests_waiting", description, lambda: graphql.waiting_count)
        gauge(
            "regulars_writes_waiting",
            "Writes that wait or are in progress.",
            lambda: store.pending_writes,
        )
        description = (
            "Bytes buffered for slow connections: large bodies, and responses that clients have "
            "not read."
        )
        gauge("regulars_buffered_bytes", description, lambda: self.buffers.total_bytes)
        description = "Slow connections that were closed because too many bytes were held for them."
        name = "regulars_slow_connections_closed"
        self._metrics.add_counter(name, description, lambda: self.buffers.cut_off_count)
        description = "GraphQL documents in the cache."
        gauge("regulars_documents_cached", description, lambda: engine.cached_document_count)
        description = "Memory of the cached documents and their plans, in bytes."
        gauge("regulars_documents_cached_bytes", description, lambda: engine.cached_bytes)
        description = "Connections to PostgreSQL that are in use."
        name = "regulars_database_connections_in_use"
        gauge(name, description, lambda: store.connection_counts[0])
        description = "Connections to PostgreSQL that are idle."
        name = "regulars_database_connections_idle"
        gauge(name, description, lambda: store.connection_counts[1])
        replicas = self._replicas
        if replicas is not None:
            description = "Replicas that Regulars reads from."
            gauge("regulars_replicas_usable", description, lambda: replicas.usable_count)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        is_open = await self._try_open()
        self.draining.install()
        tasks = [
            asyncio.create_task(self._housekeeping.run()),
            asyncio.create_task(self._sample_metrics()),
            asyncio.create_task(self._figures.run()),
        ]
        if not is_open:
            _log.warning("The database is not reachable yet.")
            tasks.append(asyncio.create_task(self._keep_opening()))
        import_task = asyncio.create_task(self._jobs.run())
        workers: list[Worker | SegmentWorker | AccountWorker]
        workers = [self._rebuild_worker, self._recount_worker]
        workers += [worker for worker in (self._worker, self._segment_worker) if worker]
        worker_tasks = [asyncio.create_task(worker.run()) for worker in workers]
        startup.keep_objects()
        tasks.append(asyncio.create_task(startup.import_late_modules()))
        _log.info("ready", extra={"fields": {"pid": os.getpid()}})
        try:
            async with running_replicas(self._replicas):
                yield
        finally:
            for task in tasks:
                task.cancel()
            if self._bulkhead is not None:
                await self._bulkhead.close()
            self._jobs.stop()
            await asyncio.gather(import_task, return_exceptions=True)
            for worker in workers:
                worker.stop()
            await asyncio.gather(*worker_tasks, return_exceptions=True)
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._accounts.uses.flush()
            await self._store.close()
            self._observer.flush()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close)

    async def _try_open(self) -> bool:
        """Opens the store. Returns whether the database is reachable: without it, the server starts
        and responds 503. Raises StoreError for errors that a retry does not solve."""
        try:
            await self._store.open()
        except Unreachable:
            if self._store.dialect == "sqlite":
                raise
            return False
        return True

    async def _keep_opening(self) -> None:
        is_open = False
        while not is_open:
            await asyncio.sleep(_OPEN_INTERVAL_SECONDS)
            is_open = await self._try_open()

    def _metrics_text(self) -> bytes:
        self._observer.flush()
        return self._metrics.text()

    async def _sample_metrics(self) -> None:
        """Samples the metrics regularly, because any process may serve the metrics of all
        processes."""
        while True:
            self._metrics.sample()
            await asyncio.sleep(_SAMPLE_INTERVAL_SECONDS)


def _normalize(scope: Scope) -> Scope:
    """Returns the normalized scope of a request: without a trailing slash in the path, and with GET
    for HEAD. The server still discards the body of a response to HEAD (RFC 9110, 9.3.2)."""
    path = scope["path"]
    if path.endswith("/") and path != "/":
        scope = {**scope, "path": path[:-1]}
    if scope["method"] == "HEAD":
        scope = {**scope, "method": "GET", HEAD_ONLY: True}
    return scope


async def _method_not_allowed(request: Request, error: Exception) -> Response:
    headers: Mapping[str, str] = getattr(error, "headers", None) or {}
    message = f"This path does not support the method `{request.method[:20]}`. Use GET."
    http_error = method_not_allowed(request.method, headers.get("Allow", "GET"), message)
    return build_error_response(
        http_error, choose_request_id(index_headers(request.scope["headers"]))
    )


async def _internal_error(request: Request, error: Exception) -> Response:
    request_id = choose_request_id(index_headers(request.scope["headers"]))
    (fault, *_) = describe(error, request_id.decode())
    if fault.key == UNAVAILABLE:
        return build_error_response(HTTPError(503, fault.key, fault.message, [RETRY]), request_id)
    http_error = HTTPError(500, fault.key, fault.message)
    http_error.fault = fault
    return build_error_response(http_error, request_id)


def _create_page_routes(pages: Pages) -> list[Route]:
    routes = [Route(path, pages.page, methods=list(_ALL_METHODS)) for path in pages.paths]
    return [
        *routes,
        Route(f"{ASSETS}/{{version}}/{{name}}", pages.asset, methods=list(_ALL_METHODS)),
    ]


async def _respond_not_found(pages: Pages, scope: Scope, receive: Receive, send: Send) -> None:
    response = pages.not_found_page(Request(scope))
    response = response or build_error_response(
        not_found(), choose_request_id(index_headers(scope["headers"]))
    )
    await response(scope, receive, send)


def create() -> Application:
    """Returns the application for a server process, with the settings of the environment."""
    settings = load_settings()
    log.configure(settings.log_level, settings.log_format)
    _exit_with_supervisor()
    return Application(settings)


def _exit_with_supervisor() -> None:
    """Shuts this worker process down when its supervisor exits for any reason, so that the next
    server can use the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    # `kill -HUP` of a whole group or unit is for the supervisor.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
