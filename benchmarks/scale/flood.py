"""A client that asks all the time, in a process of its own: `python -m benchmarks.scale.flood URL
TOKEN QUERY CONNECTIONS`. It ends after a minute at the latest."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator

from benchmarks.load import BenchmarkError, send
from benchmarks.scale.fairness import QUERIES, ask, many_token

_MOST_SECONDS = 60.0


def main() -> None:
    url, token, query, connections = sys.argv[1:]
    os.nice(19)  # what is measured is the server, not how the clients share a core
    end = time.monotonic() + _MOST_SECONDS

    def requests() -> Iterator[bytes]:
        for number in itertools.count():
            email = f"{os.getpid()}.{number}@flood.example.com"
            variables = {"e": email} if query == "create" else {}
            whose = many_token(number) if query == "tokens" else token
            yield ask(url, QUERIES[query], whose, **variables)

    given = requests()
    while time.monotonic() < end:
        with contextlib.suppress(BenchmarkError, OSError):  # a refusal: it asks again
            send(url, given, int(connections), end - time.monotonic())


if __name__ == "__main__":
    main()
