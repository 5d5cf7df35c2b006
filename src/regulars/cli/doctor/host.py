"""Checks of the settings and of this machine."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

from regulars import __version__
from regulars.cli.doctor.findings import FAIL, OK, WARN, Finding
from regulars.cli.urls import reachable_at
from regulars.settings import Settings

_MIN_FILES = 4_096
_HTTP_SECONDS = 2.0


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Yields the findings about the network settings, the workers and the limit of open files."""
    if settings.is_loopback:
        yield Finding(OK, "network", f"The server listens on {settings.host}: this machine only.")
    else:
        message = (
            f"The server listens on {settings.host}, without TLS. Let only a proxy with TLS reach "
            f"port {settings.port}."
        )
        yield Finding(WARN, "network", message)
        if not settings.points_per_second:
            message = (
                "There is no rate limit, and the server listens on a network address. Unset "
                "REGULARS_RATE_LIMIT, or set it to a positive number."
            )
            yield Finding(WARN, "rate limit", message)
    if settings.workers > 1 and settings.database_url.startswith("sqlite:"):
        message = (
            f"REGULARS_WORKERS is {settings.workers}, and SQLite supports one process: `regulars "
            "serve` refuses to start. Set it to 1, or use PostgreSQL."
        )
        yield Finding(FAIL, "workers", message)
    if "*" in settings.cors_origins:
        message = (
            "Every website may call the API from a browser that holds a token. List the allowed "
            "origins in REGULARS_CORS_ORIGINS."
        )
        yield Finding(WARN, "CORS", message)
    yield from _check_open_files()


def _check_open_files() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < _MIN_FILES:
        message = (
            f"A process may open {limit:,} files, and each connection is one. Raise the limit to "
            f"{_MIN_FILES:,} or more (LimitNOFILE in systemd, ulimit -n in a shell)."
        )
        yield Finding(WARN, "open files", message)
    else:
        yield Finding(OK, "open files", "A process may open as many files as it needs.")


def check_port(settings: Settings) -> Iterator[Finding]:
    """Yields a finding about the port: it is free, or Regulars listens on it already."""
    host, port = settings.host, settings.port
    if not port:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            message = f"The host {host!r} is not an address of this machine: {error.strerror}."
            yield Finding(FAIL, "port", f"{message} Correct REGULARS_HOST.")
            return
        except OSError as error:
            yield _explain_bind_error(settings, error)
            return
    yield Finding(OK, "port", f"Port {port} on {host} is free.")


def _explain_bind_error(settings: Settings, error: OSError) -> Finding:
    host, port = settings.host, settings.port
    if error.errno == errno.EACCES:
        message = (
            f"This user may not listen on port {port}. Use a port above 1023 "
            "(REGULARS_PORT), and put a proxy in front of the server."
        )
        return Finding(FAIL, "port", message)
    if error.errno == errno.EADDRNOTAVAIL:
        message = f"{host} is not an address of this machine. Correct REGULARS_HOST."
        return Finding(FAIL, "port", message)
    if error.errno != errno.EADDRINUSE:
        message = f"The server cannot listen on {host} port {port}: {error.strerror or error}."
        return Finding(FAIL, "port", message)
    version = _running_version(settings)
    if version is None:
        message = (
            f"Port {port} on {host} is in use by another program. Stop it, or choose another port "
            "(REGULARS_PORT)."
        )
        return Finding(FAIL, "port", message)
    if version != __version__:
        message = (
            f"Regulars {version} listens on port {port}, and version {__version__} is installed. "
            "Restart the server to use it."
        )
        return Finding(WARN, "port", message)
    return Finding(OK, "port", f"Regulars {version} listens on port {port} of {host}.")


def _running_version(settings: Settings) -> str | None:
    """Returns the version of the Regulars server that listens on the port, or None."""
    url = f"{reachable_at(settings.host, settings.port)}/healthz"
    try:
        with urlopen(url, timeout=_HTTP_SECONDS) as response:  # noqa: S310  # an http URL of this machine
            body = json.loads(response.read(10_000))
    except (OSError, HTTPError, ValueError):
        return None
    version = body.get("version") if isinstance(body, dict) else None
    return version if isinstance(version, str) else None
