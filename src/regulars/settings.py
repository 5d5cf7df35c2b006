"""Every setting: its default, its environment variable, and what it is for."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_DATABASE_URL = "sqlite:///regulars.db"


class Settings(BaseSettings):
    """The settings of a process. Each is read from the environment, as `REGULARS_` and its name
    in capitals; the option of the same name on the command line comes first."""

    model_config = SettingsConfigDict(env_prefix="REGULARS_", extra="ignore")

    database_url: str = Field(
        default=DEFAULT_DATABASE_URL,
        description="Where the customers are: sqlite:///FILE or "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
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
    max_body_bytes: int = Field(
        default=2 * 1024 * 1024,
        ge=1024,
        le=1024 * 1024 * 1024,
        description="The largest request body that is read, in bytes.",
    )
