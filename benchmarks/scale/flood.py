"""Send requests continuously, for one minute at most: `python -m benchmarks.scale.flood URL TOKEN
QUERY CONNECTIONS`. This is the noisy neighbor of `benchmarks.scale.fairness`."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator

from benchmarks.load import BenchmarkError, send
from benchmarks.scale.fairness import QUERIES, build_request, token_of_many

_MAX_SECONDS = 60.0


def main() -> None:
    url, account_token, query, connections = sys.argv[1:]
    os.nice(19)  # the measured client must get the core when it needs it
    deadline = time.monotonic() + _MAX_SECONDS

    def requests() -> Iterator[bytes]:
        for number in itertools.count():
            email = f"{os.getpid()}.{number}@flood.example.com"
            variables = {"e": email} if query == "create" else {}
            token = token_of_many(number) if query == "tokens" else account_token
            yield build_request(url, QUERIES[query], token, **variables)

    request_stream = requests()
    while time.monotonic() < deadline:
        with contextlib.suppress(BenchmarkError, OSError):  # a refused request is repeated
            send(url, request_stream, int(connections), deadline - time.monotonic())


if __name__ == "__main__":
    main()
