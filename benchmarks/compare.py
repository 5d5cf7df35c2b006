"""The comparison: every piece of work on every server, round by round, so that whatever the machine
does to one it does to all."""

from __future__ import annotations

import contextlib
import statistics
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import contenders, data, floors
from benchmarks.load import Sample, send
from benchmarks.servers import Contender, Running, serving
from benchmarks.work import LIST, Work, page_body

CUSTOMERS = 100_000
WARM_SECONDS = 0.5

SQL_SQLITE = "bare SQL, sqlite3"
SQL_APSW = "bare SQL, APSW"
SQL_POSTGRESQL = "bare SQL, asyncpg"


@dataclass(frozen=True, slots=True)
class Round:
    """One run: answers a second, CPU seconds of the server an answer, latencies in seconds."""

    rate: float
    cpu: float
    p50: float = 0.0
    p99: float = 0.0


@dataclass(slots=True)
class Results:
    """What was measured: rounds by (letter, server), and for each server its start in seconds and
    its resident memory in bytes at the end."""

    rounds: dict[tuple[str, str], list[Round]] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def add(self, letter: str, server: str, measured: Round) -> None:
        self.rounds.setdefault((letter, server), []).append(measured)

    def median(self, letter: str, server: str, what: Callable[[Round], float]) -> float:
        """The median over the rounds."""
        return statistics.median(what(one) for one in self.rounds[letter, server])

    def ratio(
        self,
        letter: str,
        ours: str,
        theirs: Sequence[str],
        what: Callable[[Round], float],
    ) -> float | None:
        """The median over the rounds of ours by the sum of theirs; None when they did not run."""
        if any((letter, server) not in self.rounds for server in (ours, *theirs)):
            return None
        pairs = zip(
            self.rounds[letter, ours],
            *(self.rounds[letter, server] for server in theirs),
            strict=True,
        )
        return statistics.median(what(our) / sum(map(what, their)) for our, *their in pairs)


def measured(
    running: Running, work: Work, seconds: float, seed: int, connections: int = 0
) -> tuple[Round, Sample]:
    """One run of a piece of work on a server."""
    url, token = running.url, running.contender.token
    requests = work.requests(url, token, seed, CUSTOMERS)
    count = connections or work.connections
    send(url, requests, count, WARM_SECONDS)
    before = running.cpu_seconds()
    sample = send(url, requests, count, seconds)
    cpu = (running.cpu_seconds() - before) / sample.requests
    return Round(sample.rate, cpu, sample.percentile(50), sample.percentile(99)), sample


def compare(
    works: Sequence[Work],
    databases: Databases,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> Results:
    """Runs everything; `say` is told what is under way."""
    results = Results()
    with contextlib.ExitStack() as stack:
        running: list[Running] = []
        for contender in databases.contenders():
            say(f"starting {contender.name}")
            running.append(stack.enter_context(serving(contender, page_body(LIST, CUSTOMERS))))
            results.starts[contender.name] = [running[-1].started_in]
        for number in range(rounds):
            for work in works:
                for one in running:
                    name = one.contender.name
                    if not _asked(name, work.letter):
                        continue
                    say(f"round {number + 1} of {rounds}: {work.letter}, {name}")
                    seed = zlib.crc32(f"{number} {work.letter} {name}".encode())
                    results.add(work.letter, name, measured(one, work, seconds, seed)[0])
                if work.letter in "LNC":
                    for name, cpu in databases.floors(work.letter, seconds / 2).items():
                        results.add(work.letter, name, Round(1 / cpu, cpu))
        for one in running:
            results.memory[one.contender.name] = one.memory()
    return results


def _asked(server: str, letter: str) -> bool:
    """Whether a server is asked for a piece of work: a fixed body is the floor of its own, and
    only Regulars searches."""
    if letter == "S":  # the peers' tables have nothing to search by
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
        """The CPU seconds of the bare SQL of a piece of work."""
        return {
            SQL_SQLITE: floors.sqlite(self.floor_sqlite, letter, seconds, CUSTOMERS, apsw=False),
            SQL_APSW: floors.sqlite(self.floor_sqlite, letter, seconds, CUSTOMERS, apsw=True),
            SQL_POSTGRESQL: floors.postgresql(self.own_postgresql, letter, seconds, CUSTOMERS),
        }


@contextlib.contextmanager
def databases(work: Path, with_peers: bool) -> Iterator[Databases]:
    """Makes the databases, and a PostgreSQL server for as long as they are used."""
    own = data.sqlite_with(CUSTOMERS, work)
    floor = data.copied(own, work / "floor.db")
    peers = data.peer_sqlite(own, work)
    print("Filling PostgreSQL …", file=sys.stderr)
    with data.postgresql(own) as (own_dsn, peer_dsn):
        yield Databases(own, floor, peers, own_dsn, peer_dsn, data.bodies(own), with_peers)
