"""The capacity of a deployment, predicted from what one operation takes: a small model, which the
benchmark checks against its own measured points.

Throughput is the least of what its resources allow (the utilization law: Denning and Buzen, 1978):
the processor time of the server processes, of which each runs on one core, that of the machine(s)
that they share with the database and whoever else works there, and the flushes of the disk that
has the database's log: commits share a flush while it lasts. No resource is ever busy all the
time: a process waits for the database now and then, and the last core is seldom found at once. How
much of it is busy was measured once, on the machines of `docs/benchmark/scale.md`, and holds for
all points there.

Writes to one account take turns: in a process, its part of a batch, the database's and the flush
of the log come one after another; several processes write small batches, each under the account's
lock.
"""

from __future__ import annotations

from dataclasses import dataclass

# How much of a server process's core, and of all cores together, is busy when no more is done.
BUSY_PROCESS = 0.88
BUSY_CORES = 0.92
# What the cores come to when more processes run than there are cores.
_CROWDED = 0.92
# Of the database's part of a batch of writes, what its writer waits for: the rest is done beside.
_WAITED_FOR = 0.7
# What many processes come to that write to one account, of what one comes to.
_CONTENDED = 0.18


@dataclass(frozen=True, slots=True)
class Operation:
    """What one operation takes: processor time of the server and of the database in seconds, how
    many flushes of the write-ahead log (of a batch of writes, its part), and bytes of it.
    `one_account` says that all of them write to the same account."""

    name: str
    server: float
    database: float
    flushes: float = 0.0
    wal: float = 0.0
    one_account: bool = False


@dataclass(frozen=True, slots=True)
class Deployment:
    """So many server processes on cores of their own, or shared with all else; cores of the
    database (0: it shares those of the servers); flushes of WAL a second that its disk takes."""

    processes: int
    cores: float
    database_cores: float = 0.0
    flushes: float = float("inf")
    other: float = 0.0  # processor time for each operation of whoever shares the cores, in seconds


@dataclass(frozen=True, slots=True)
class Prices:
    """What is paid each month for a core with its memory, and for a GB of disk."""

    core: float = 25.0
    gigabyte: float = 0.10


def throughput(operation: Operation, deployment: Deployment) -> float:
    """Operations a second."""
    processes = min(deployment.processes, deployment.cores)
    bounds = [processes * BUSY_PROCESS / operation.server]
    cores = deployment.cores * BUSY_CORES
    if deployment.processes > deployment.cores:
        cores *= _CROWDED
    if deployment.database_cores:
        bounds.append(deployment.database_cores * BUSY_CORES / operation.database)
        if deployment.other:
            bounds.append(cores / (operation.server + deployment.other))
    else:
        bounds.append(cores / (operation.server + operation.database + deployment.other))
    if operation.one_account:
        flush = operation.flushes / deployment.flushes
        alone = 1 / (operation.server + _WAITED_FOR * operation.database + flush)
        bounds.append(alone * (_CONTENDED + (1 - _CONTENDED) / deployment.processes))
    if operation.flushes:
        bounds.append(deployment.flushes / operation.flushes)
    return min(bounds)


def storage(customers: int, bytes_each: float) -> float:
    """The size of a database, in bytes."""
    return customers * bytes_each


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load takes: cores for the servers and for the database, flushes and MB of WAL a
    second, GB of disk, and what cores and disk cost each month."""

    server_cores: float
    database_cores: float
    flushes: float
    wal_megabytes: float
    gigabytes: float
    cost: float


def plan(
    reads: Operation,
    writes: Operation,
    rates: tuple[float, float],
    customers: int,
    bytes_each: float,
    copies: int = 2,
    prices: Prices = Prices(),  # a constant
    headroom: float = 0.5,
) -> Plan:
    """What it takes to answer so many reads and writes a second (`rates`) with so much of the
    machines left free (`headroom`), and to keep so many customers in so many copies."""
    each = [(reads, rates[0]), (writes, rates[1])]
    server = sum(one.server * rate for one, rate in each) / (1 - headroom)
    database = sum(one.database * rate for one, rate in each) / (1 - headroom)
    flushes = sum(one.flushes * rate for one, rate in each)
    wal = sum(one.wal * rate for one, rate in each) / 1e6
    gigabytes = storage(customers, bytes_each) * copies / 1e9
    cost = (server + database * copies) * prices.core + gigabytes * prices.gigabyte
    return Plan(server, database, flushes, wal, gigabytes, cost)
