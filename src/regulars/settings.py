"""The settings: their defaults, environment variables and descriptions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from regulars.loopback import is_loopback

DEFAULT_DATABASE_URL = "sqlite:///regulars.db"
# Points per second of a token, if rates are limited and no other limit is set.
DEFAULT_RATE_LIMIT = 1_000


def _limit(default: int, description: str, minimum: int = 1, maximum: int = 2**31 - 1) -> Any:
    return Field(default=default, ge=minimum, le=maximum, description=description)


def _seconds(default: float, description: str) -> Any:
    return Field(default=default, gt=0, le=3600, description=description)


class Settings(BaseSettings):
    """The settings of a process. Each is read from the environment variable `REGULARS_` and its
    name in capitals. The command-line option of the same name takes precedence."""

    model_config = SettingsConfigDict(env_prefix="REGULARS_", extra="ignore")

    database_url: str = Field(
        default=DEFAULT_DATABASE_URL,
        description="Where the customers are: sqlite:///FILE or "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
    )
    read_database_url: str | None = Field(
        default=None,
        description="PostgreSQL replicas to read from, as postgresql:// URLs separated by spaces "
        "or commas. None unless it is set: everything is read from database_url.",
    )
    replica_seconds: float = _seconds(
        5, "How far behind a replica may be: one that is further is not read from."
    )
    host: str = Field(
        default="127.0.0.1",
        description="The address to listen on. 0.0.0.0 opens the server to the network: put a "
        "proxy with TLS in front of it.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="The port to listen on; 0 takes any that is free."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="How many processes serve. More than one needs PostgreSQL.",
    )
    bootstrap_token: SecretStr | None = Field(
        default=None,
        description="The first token of a new database, for containers and scripts. Without it "
        "one is made and shown once. A database that has tokens ignores it.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins whose pages may call the API from a browser, such as "
        "https://app.example.com, separated by commas; * is every origin. None unless it is set.",
    )
    session_hours: float = Field(
        default=168,
        gt=0,
        le=8_784,
        description="How long a person stays signed in to the pages after the last use.",
    )
    gravatar: bool = Field(
        default=False,
        description="Whether the pages show the pictures that www.gravatar.com has of customers. "
        "It learns then who looks at whom; without it, and where it has none, initials are shown.",
    )
    log_requests: bool = Field(
        default=True, description="Whether each request is a line of the log, on standard error."
    )
    rate_limit: int | None = Field(
        default=None,
        ge=0,
        le=10**9,
        description="How many points of cost a token may use each second, in the long run; 0 is "
        f"no limit. Unless it is set: none on loopback, {DEFAULT_RATE_LIMIT:,} elsewhere.",
    )
    rate_burst: int = _limit(
        40_000, "How many points a token may use at once after a pause; at least max_cost."
    )
    max_cost: int = _limit(20_000, "The most that one request may cost, in points.")
    max_requests: int = _limit(
        2_000,
        "How many requests a process works on at once, at most half of them for one account; what "
        "comes beyond is answered 503.",
    )
    max_body_bytes: int = _limit(
        2 * 1024 * 1024,
        "The largest request body that is read, in bytes.",
        minimum=1024,
        maximum=1024 * 1024 * 1024,
    )
    max_import_bytes: int = _limit(
        1024 * 1024 * 1024,
        "The largest file that POST /import takes, in bytes.",
        minimum=1024,
        maximum=2**40,
    )
    max_import_unpacked_bytes: int = _limit(
        4 * 1024 * 1024 * 1024,
        "The most bytes that a file of POST /import may have unpacked, if it is compressed.",
        minimum=1024,
        maximum=2**42,
    )
    max_header_bytes: int = _limit(
        16 * 1024,
        "The most that the request line and the headers of a request may have, in bytes; and its "
        "trailers; and the framing of a chunked body beyond four times its content.",
        minimum=1024,
        maximum=1024 * 1024,
    )
    max_buffered_bytes: int = _limit(
        256 * 1024 * 1024,
        "How many bytes a process holds for slow connections: large bodies that arrive or are "
        "worked on, and responses that are not read yet. Beyond it, and beyond half of it for one "
        "account, connections that have waited longest for their clients are cut off.",
        minimum=1024 * 1024,
        maximum=2**40,
    )
    min_read_rate: int = _limit(
        4_096,
        "How many bytes per second a client must read of a response, on average over "
        "receive_seconds; slower ones are disconnected.",
    )
    max_document_characters: int = _limit(
        100_000, "The most characters of a GraphQL document.", minimum=100, maximum=10_000_000
    )
    max_document_tokens: int = _limit(10_000, "The most tokens of a GraphQL document.")
    max_depth: int = _limit(20, "The most levels of fields within each other.", maximum=50)
    max_fields: int = _limit(
        1_000, "The most fields of a document, fragments counted wherever they are spread."
    )
    max_root_fields: int = _limit(50, "The most fields of Query or Mutation in one operation.")
    max_aliases: int = _limit(100, "The most aliases of a document.", minimum=0)
    max_directives: int = _limit(100, "The most directives of a document.", minimum=0)
    max_list_items: int = _limit(1_000, "The most values of a list in arguments and variables.")
    inbox_days: int = _limit(
        30,
        "For how many days an event of a shop is kept that could not be understood.",
        maximum=3_650,
    )
    max_response_bytes: int = _limit(
        16 * 1024 * 1024,
        "The most bytes of a GraphQL response, about.",
        minimum=1024 * 1024,
        maximum=1024**3,
    )
    max_page_size: int = _limit(
        250, "The most customers, changes, deliveries, orders or leads on a page.", maximum=10_000
    )
    max_deletes: int = _limit(250, "The most ids that deleteCustomers takes.", maximum=10_000)
    max_search_characters: int = _limit(2_000, "The most characters of a search.", maximum=100_000)
    document_cache_bytes: int = _limit(
        64 * 1024 * 1024,
        "The most memory for parsed GraphQL documents and their plans in each process, in bytes. "
        "One account uses at most a quarter of it.",
        minimum=1024 * 1024,
        maximum=2**40,
    )
    request_seconds: float = _seconds(
        10, "How long a request may take. Its statement is ended in the database, too."
    )
    receive_seconds: float = _seconds(
        30,
        "How long a request may take to arrive. A file that is imported has as long for each "
        "64 KiB. Also the period over which min_read_rate is measured.",
    )
    keep_alive_seconds: float = _seconds(
        75, "How long a connection is kept open between requests: longer than a proxy keeps it."
    )
    shutdown_seconds: int = Field(
        default=10,
        ge=0,
        le=3600,
        description="How long requests in flight may take when the server is told to stop.",
    )
    drain_seconds: float = Field(
        default=0,
        ge=0,
        le=3600,
        description="How long a server that is told to stop still takes requests, not ready by "
        "/readyz, before it stops: as long as a proxy takes to send them elsewhere.",
    )

    fast_path: bool = Field(
        default=True,
        description="Whether small GraphQL requests are answered without ASGI, which is faster. "
        "Responses are the same. Switch it off to look for the cause of a problem.",
    )
    bulkhead: bool = Field(
        default=True,
        description="Whether a server begins a second process, when one account asks for so much "
        "that others would wait for it, and works on that there.",
    )
    webhook_worker: bool = Field(
        default=True,
        description="Whether the server delivers webhooks itself. Elsewhere: regulars worker.",
    )
    webhook_private_targets: bool = Field(
        default=False,
        description="Whether webhooks may be sent to loopback, private and other special "
        "addresses, and over http: for a laptop, and for receivers in the same network.",
    )
    webhook_retry_seconds: float = Field(
        default=86_400,
        gt=0,
        le=30 * 86_400,
        description="Over how long an event is sent, in 8 attempts, before its webhook is "
        "disabled.",
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _check_burst(self) -> Self:
        if self.rate_burst < self.max_cost:
            raise ValueError(
                f"REGULARS_RATE_BURST ({self.rate_burst:,}) is less than REGULARS_MAX_COST "
                f"({self.max_cost:,}): a request of that cost could never be made. "
                "Raise the one or lower the other"
            )
        return self

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
        values = self.model_dump(exclude={"bootstrap_token"}, exclude_none=True)
        return {
            f"REGULARS_{name.upper()}": ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
        }
