"""Compare the servers: each round runs every workload on every server in turn, so that a slow phase
of the machine affects all of them."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import contenders, data, floors
from benchmarks.load import Sample, send
from benchmarks.servers import Contender, RunningServer, run_server
from benchmarks.work import LIST, Workload, page_body

# Fewer show only that the benchmark works.
CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "100_000"))
WARM_SECONDS = 0.5

SQL_SQLITE = "bare SQL, sqlite3"
SQL_APSW = "bare SQL, APSW"
SQL_POSTGRESQL = "bare SQL, asyncpg"


@dataclass(frozen=True, slots=True)
class Round:
    """One run: responses per second, CPU seconds of the server per response, and latencies in
    seconds."""

    rate: float
    cpu_seconds: float
    p50: float = 0.0
    p99: float = 0.0


@dataclass(slots=True)
class Results:
    """The rounds by (letter, server), and for each server the seconds that it took to start and
    its resident memory in bytes at the end."""

    rounds: dict[tuple[str, str], list[Round]] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def add(self, letter: str, server: str, run: Round) -> None:
        self.rounds.setdefault((letter, server), []).append(run)

    def median(self, letter: str, server: str, figure: Callable[[Round], float]) -> float:
        """Returns the median of a figure over the rounds."""
        return statistics.median(figure(run) for run in self.rounds[letter, server])

    def ratio(
        self,
        letter: str,
        ours: str,
        theirs: Sequence[str],
        figure: Callable[[Round], float],
    ) -> float | None:
        """Returns the median over the rounds of a figure of `ours` divided by the sum of those of
        `theirs`, or None if one of them did not run."""
        if any((letter, server) not in self.rounds for server in (ours, *theirs)):
            return None
        pairs = zip(
            self.rounds[letter, ours],
            *(self.rounds[letter, server] for server in theirs),
            strict=True,
        )
        return statistics.median(figure(our) / sum(map(figure, their)) for our, *their in pairs)

    def ratio_of_works(
        self, letter: str, by: str, server: str, figure: Callable[[Round], float]
    ) -> float | None:
        """Returns the median over the rounds of a figure of a server for one workload divided by
        that for another, or None if one of them did not run."""
        if (letter, server) not in self.rounds or (by, server) not in self.rounds:
            return None
        pairs = zip(self.rounds[letter, server], self.rounds[by, server], strict=True)
        return statistics.median(figure(run) / figure(base) for run, base in pairs)


def measure_round(
    server: RunningServer, work: Workload, seconds: float, seed: int, connections: int = 0
) -> tuple[Round, Sample]:
    """Warms a server up and runs a workload on it once."""
    url, token = server.url, server.contender.token
    requests = work.requests(url, token, seed, CUSTOMERS)
    connection_count = connections or work.connections
    send(url, requests, connection_count, min(WARM_SECONDS, seconds))
    cpu_before = server.cpu_seconds()
    sample = send(url, requests, connection_count, seconds)
    cpu_seconds = (server.cpu_seconds() - cpu_before) / sample.request_count
    return Round(sample.rate, cpu_seconds, sample.percentile(50), sample.percentile(99)), sample


def compare(
    works: Sequence[Workload],
    databases: Databases,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> Results:
    """Starts all servers and runs all rounds."""
    results = Results()
    with contextlib.ExitStack() as stack:
        servers: list[RunningServer] = []
        for contender in databases.contenders():
            progress(f"starting {contender.name}")
            server = stack.enter_context(run_server(contender, page_body(LIST, CUSTOMERS)))
            servers.append(server)
            results.starts[contender.name] = [server.start_seconds]
        for number in range(rounds):
            for work in works:
                for server in servers:
                    name = server.contender.name
                    if not _takes_part(name, work.letter):
                        continue
                    progress(f"round {number + 1} of {rounds}: {work.letter}, {name}")
                    seed = zlib.crc32(f"{number} {work.letter} {name}".encode())
                    results.add(work.letter, name, measure_round(server, work, seconds, seed)[0])
                if work.letter in "LNC":
                    for name, cpu_seconds in databases.floors(work.letter, seconds / 2).items():
                        results.add(work.letter, name, Round(1 / cpu_seconds, cpu_seconds))
        for server in servers:
            results.memory[server.contender.name] = server.memory_bytes()
    return results


def _takes_part(server: str, letter: str) -> bool:
    """Returns whether a server takes part in a workload: a fixed body is the floor of one only, and
    only Regulars searches."""
    if letter == "S":  # the peers have no search
        return server in (contenders.REGULARS_SQLITE, contenders.REGULARS_POSTGRESQL)
    fixed = {contenders.FIXED_LIST: "L", contenders.FIXED_NODE: "N"}
    return server not in fixed or fixed[server] == letter


@dataclass(frozen=True, slots=True)
class Databases:
    """The databases of a comparison, each with the same customers."""

    own_sqlite: Path
    floor_sqlite: Path
    peer_sqlite: Path
    own_postgresql: str
    peer_postgresql: str
    bodies: Mapping[str, bytes]
    with_peers: bool

    def contenders(self) -> Iterator[Contender]:
        yield contenders.regulars(contenders.REGULARS_SQLITE, f"sqlite:///{self.own_sqlite}")
        yield contenders.regulars(contenders.REGULARS_POSTGRESQL, self.own_postgresql)
        yield contenders.fixed(contenders.FIXED_LIST, self.bodies["L"])
        yield contenders.fixed(contenders.FIXED_NODE, self.bodies["N"])
        if self.with_peers:
            yield from contenders.python_peers(self.peer_postgresql)
            yield from contenders.mercurius(self.peer_postgresql, self.peer_sqlite)

    def floors(self, letter: str, seconds: float) -> dict[str, float]:
        """Returns the CPU seconds of the bare SQL of a workload, by driver."""
        return {
            SQL_SQLITE: floors.sqlite(self.floor_sqlite, letter, seconds, CUSTOMERS, apsw=False),
            SQL_APSW: floors.sqlite(self.floor_sqlite, letter, seconds, CUSTOMERS, apsw=True),
            SQL_POSTGRESQL: floors.postgresql(self.own_postgresql, letter, seconds, CUSTOMERS),
        }


@contextlib.contextmanager
def databases(folder: Path, with_peers: bool, customers: int = CUSTOMERS) -> Iterator[Databases]:
    """Creates the databases, and runs PostgreSQL until the block ends."""
    own = data.sqlite_with(customers, folder)
    floor = data.copy_database(own, folder / "floor.db")
    peers = data.peer_sqlite(own, folder)
    print("Filling PostgreSQL …", file=sys.stderr)
    with data.postgresql(own) as (own_dsn, peer_dsn):
        yield Databases(own, floor, peers, own_dsn, peer_dsn, data.render_bodies(own), with_peers)
