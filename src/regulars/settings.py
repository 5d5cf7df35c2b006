"""The settings: their defaults, environment variables and descriptions."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from regulars.loopback import is_loopback
from regulars.setting_kinds import (
    Setting,
    choice_parser,
    integer_parser,
    number_parser,
    parse_flag,
    parse_origins,
    parse_text,
    parse_token,
    to_text,
)

DEFAULT_DATABASE_URL = "sqlite:///regulars.db"
# The rate limit of a token outside of loopback, in points per second, unless one is set.
DEFAULT_RATE_LIMIT = 1_000
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")


def _setting(default: Any, description: str, parse: Any = parse_text, **details: Any) -> Any:
    is_shown = not details.get("is_secret")
    metadata = {"description": description, "parse": parse, **details}
    return field(default=default, repr=is_shown, metadata=metadata)


def _integer(
    default: int | None, description: str, minimum: int = 1, maximum: int = 2**31 - 1
) -> Any:
    return _setting(default, description, integer_parser(minimum, maximum), metavar="NUMBER")


def _number(
    default: float, description: str, maximum: float = 3600, allows_zero: bool = False
) -> Any:
    return _setting(default, description, number_parser(maximum, allows_zero), metavar="NUMBER")


def _flag(default: bool, description: str) -> Any:
    return _setting(default, description, parse_flag, is_flag=True)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a process. `load_settings` reads each from the environment variable
    `REGULARS_` and its name in capitals. A command-line option of the same name takes precedence.
    """

    database_url: str = _setting(
        DEFAULT_DATABASE_URL,
        "The database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE.",
        metavar="URL",
        is_secret=True,
    )
    read_database_url: str | None = _setting(
        None,
        "PostgreSQL replicas to read from, as postgresql:// URLs separated by spaces or commas. "
        "Without it, the server reads everything from the database.",
        metavar="URLS",
        is_secret=True,
        allows_empty=True,
    )
    replica_seconds: float = _number(
        5, "The maximum lag of a replica, in seconds. The server does not read from slower ones."
    )
    pool_size: int = _integer(
        10,
        "The maximum number of PostgreSQL connections of each process. Keep the sum over all "
        "processes below max_connections.",
        minimum=2,
        maximum=1_000,
    )
    host: str = _setting(
        "127.0.0.1",
        "The address to listen on. 0.0.0.0 listens on every network: put a proxy with TLS in front "
        "of the server.",
        metavar="ADDRESS",
    )
    port: int = _integer(
        8000, "The port to listen on. 0 selects a free port.", minimum=0, maximum=65535
    )
    workers: int = _integer(
        1,
        "The number of server processes. More than one requires PostgreSQL.",
        maximum=256,
    )
    bootstrap_token: str | None = _setting(
        None,
        "The first token of a new database, with at least 32 characters, for containers and "
        "scripts. Without it, the server creates a token and shows it once. A database that has "
        "tokens ignores this setting.",
        parse_token,
        metavar="TOKEN",
        is_secret=True,
    )
    cors_origins: tuple[str, ...] = _setting(
        (),
        "The origins whose pages may call the API from a browser, separated by commas, such as "
        "https://app.example.com. * allows every origin. The default allows none.",
        parse_origins,
        metavar="ORIGINS",
        allows_empty=True,
    )
    session_hours: float = _number(
        168,
        "The number of hours for which a person stays signed in to the pages after the last use.",
        maximum=8_784,
    )
    gravatar: bool = _flag(
        False,
        "Show the pictures of customers from www.gravatar.com on the pages. Gravatar then learns "
        "which visitor looks at which customer. By default, the pages show initials.",
    )
    log_level: str = _setting(
        "info",
        "The lowest level of log events to write: debug, info, warning or error. Requests are info "
        "events.",
        choice_parser(*LOG_LEVELS),
        metavar="LEVEL",
        choices=LOG_LEVELS,
    )
    log_format: str | None = _setting(
        None,
        "The format of the log on standard error: json or text. The default is text on a terminal "
        "and json otherwise.",
        choice_parser(*LOG_FORMATS),
        metavar="FORMAT",
        choices=LOG_FORMATS,
    )
    log_requests: bool = _flag(True, "Log each request.")
    slow_statement_seconds: float = _number(
        1,
        "Log database statements that take this many seconds or longer, without the values of "
        "their parameters.",
    )
    tracing: bool = _flag(
        False,
        "Send requests, plans and statements as spans of OpenTelemetry. This needs the extra "
        "regulars[otel].",
    )
    backup_folder: str | None = _setting(
        None,
        "The folder with the backups. `regulars doctor` and the metrics report the age of the "
        "newest one. Without this setting, the age is unknown.",
        metavar="FOLDER",
    )
    environment_file: str | None = _setting(
        None,
        "The file from which the service manager sets the environment, with lines of NAME=VALUE. "
        "The server reads it again when it reloads (SIGHUP).",
        metavar="FILE",
    )
    rate_limit: int | None = _integer(
        None,
        "The rate limit of each token, in points of cost per second. 0 means no limit. The default "
        f"is no limit on a loopback address, and {DEFAULT_RATE_LIMIT:,} on other addresses.",
        minimum=0,
        maximum=10**9,
    )
    rate_burst: int = _integer(
        40_000,
        "The number of points that a token can use at once after a pause. At least max_cost.",
    )
    max_cost: int = _integer(20_000, "The maximum cost of a request, in points.")
    max_requests: int = _integer(
        2_000,
        "The maximum number of requests that a process works on at once. One account can use half "
        "of them. Further requests are answered with status 503.",
    )
    max_body_bytes: int = _integer(
        2 * 1024**2, "The maximum size of a request body, in bytes.", 1024, 1024**3
    )
    max_import_bytes: int = _integer(
        1024**3, "The maximum size of a file for POST /import, in bytes.", 1024, 2**40
    )
    max_import_unpacked_bytes: int = _integer(
        4 * 1024**3,
        "The maximum uncompressed size of a compressed file for POST /import, in bytes.",
        1024,
        2**42,
    )
    max_header_bytes: int = _integer(
        16 * 1024,
        "The maximum size of the request line and the headers of a request, in bytes. It also "
        "limits the trailers, and the framing of a chunked body beyond four times its content.",
        1024,
        1024**2,
    )
    max_buffered_bytes: int = _integer(
        256 * 1024**2,
        "The maximum number of bytes that a process holds for slow connections: large request "
        "bodies, and responses that clients have not read yet. One account can use half of them. "
        "Above the limit, the server closes the connections that have waited longest.",
        1024**2,
        2**40,
    )
    min_read_rate: int = _integer(
        4_096,
        "The minimum rate at which a client must read a response, in bytes per second, on average "
        "over receive_seconds. The server disconnects slower clients.",
    )
    max_document_characters: int = _integer(
        100_000,
        "The maximum number of characters of a GraphQL document.",
        100,
        10_000_000,
    )
    max_document_tokens: int = _integer(
        10_000, "The maximum number of tokens of a GraphQL document."
    )
    max_depth: int = _integer(20, "The maximum depth of nested fields.", maximum=50)
    max_fields: int = _integer(
        1_000,
        "The maximum number of fields of a document. A fragment counts each time it is spread.",
    )
    max_root_fields: int = _integer(
        50, "The maximum number of Query or Mutation fields in one operation."
    )
    max_aliases: int = _integer(100, "The maximum number of aliases of a document.", minimum=0)
    max_directives: int = _integer(
        100, "The maximum number of directives of a document.", minimum=0
    )
    max_list_items: int = _integer(
        1_000, "The maximum number of values of a list in arguments and variables."
    )
    inbox_days: int = _integer(
        30,
        "The number of days for which shop events that could not be processed are stored.",
        maximum=3_650,
    )
    max_response_bytes: int = _integer(
        16 * 1024**2,
        "The approximate maximum size of a GraphQL response, in bytes.",
        1024**2,
        1024**3,
    )
    max_page_size: int = _integer(
        250,
        "The maximum number of customers, changes, deliveries, orders or leads on a page.",
        maximum=10_000,
    )
    max_deletes: int = _integer(
        250, "The maximum number of ids for deleteCustomers.", maximum=10_000
    )
    max_search_characters: int = _integer(
        2_000, "The maximum number of characters of a search.", maximum=100_000
    )
    document_cache_bytes: int = _integer(
        64 * 1024**2,
        "The maximum memory for parsed GraphQL documents and their plans in each process, in "
        "bytes. One account can use a quarter of it.",
        1024**2,
        2**40,
    )
    request_seconds: float = _number(
        10, "The maximum duration of a request and of its database statements, in seconds."
    )
    receive_seconds: float = _number(
        30,
        "The maximum time in which a request must arrive, in seconds. For a file to import, the "
        "limit applies to each 64 KiB. It is also the period over which min_read_rate is measured.",
    )
    keep_alive_seconds: float = _number(
        75,
        "The number of seconds for which an idle connection stays open. Set it higher than the "
        "keep-alive time of your proxy.",
    )
    shutdown_seconds: int = _integer(
        10,
        "The number of seconds that running requests have to finish when the server stops.",
        minimum=0,
        maximum=3_600,
    )
    drain_seconds: float = _number(
        0,
        "The number of seconds for which a stopping server still accepts requests, while /readyz "
        "reports that it is not ready. Set it to the time that your proxy needs to notice.",
        allows_zero=True,
    )
    fast_path: bool = _flag(
        True,
        "Answer small GraphQL requests without ASGI, which is faster. The responses are the same. "
        "Disable it to find the cause of a problem.",
    )
    bulkhead: bool = _flag(
        True,
        "Start a second process for the requests of an account that would delay other accounts.",
    )
    webhook_worker: bool = _flag(
        True,
        "Deliver webhooks and evaluate watched segments in the server. Disable it if you run "
        "regulars worker.",
    )
    webhook_private_targets: bool = _flag(
        False,
        "Allow webhooks to loopback, private and other special addresses, and over plain HTTP. Use "
        "it for development, and for receivers in the same network.",
    )
    webhook_retry_seconds: float = _number(
        86_400,
        "The number of seconds over which an event is sent, in 8 attempts, before its webhook is "
        "disabled.",
        maximum=30 * 86_400,
    )
    segment_sweep_seconds: float = _number(
        900,
        "The interval, in seconds, at which watched segments whose query depends on the time are "
        "evaluated for all customers.",
        maximum=86_400,
    )

    def __post_init__(self) -> None:
        if self.rate_burst < self.max_cost:
            raise ValueError(
                f"REGULARS_RATE_BURST ({self.rate_burst:,}) must not be less than "
                f"REGULARS_MAX_COST ({self.max_cost:,}), because a request of that cost would "
                "never be accepted. Raise the first or lower the second."
            )

    @property
    def replica_urls(self) -> tuple[str, ...]:
        """The URLs of the replicas."""
        urls = (self.read_database_url or "").strip(" ,")
        return tuple(re.split(r"[\s,]+(?=\w+://)", urls)) if urls else ()

    @property
    def is_loopback(self) -> bool:
        """Whether the server can be reached from this machine only."""
        return is_loopback(self.host)

    @property
    def points_per_second(self) -> int:
        """The effective rate limit, in points per second. 0 means no limit."""
        if self.rate_limit is not None:
            return self.rate_limit
        return 0 if self.is_loopback else DEFAULT_RATE_LIMIT

    def environment(self) -> dict[str, str]:
        """Returns the environment variables with these settings, for another process. Omits the
        bootstrap token."""
        return {
            setting.variable: to_text(getattr(self, name))
            for name, setting in SETTINGS.items()
            if name != "bootstrap_token" and getattr(self, name) is not None
        }


SETTINGS = {
    item.name: Setting(name=item.name, default=item.default, **item.metadata)
    for item in dataclasses.fields(Settings)
}
