"""Predict the capacity of a deployment from the cost of one operation. `make bench-scale` checks
the predictions against its measurements.

Throughput is the minimum of what the resources allow (utilization law: Denning and Buzen, 1978):
the CPU time of the server processes, each of which runs on one core; the CPU time of the machines
that they share with the database and other programs; and the flushes of the disk with the
write-ahead log. Writes that arrive during a flush share the next one. No resource reaches full
utilization: processes wait for the database, and the scheduler does not find a free core at once.
The utilization limits below were measured on the machines of `docs/benchmark/scale.md` and hold for
all points there.

Writes to one account are serialized: in a process, the CPU time of the server, that of the database
and the flush follow one another. Several processes write smaller batches, each under the lock of
the account.
"""

from __future__ import annotations

from dataclasses import dataclass

# The highest utilization of the core of a server process, and of all cores together.
BUSY_PROCESS = 0.88
BUSY_CORES = 0.92
# The efficiency of the cores when more processes run than there are cores.
_OVERSUBSCRIBED = 0.92
# The share of the database's CPU time for a batch that the writer waits for.
_BLOCKING_SHARE = 0.7
# The throughput of many processes that write to one account, relative to one process.
_CONTENTION_EFFICIENCY = 0.18


@dataclass(frozen=True, slots=True)
class Operation:
    """The cost of one operation: CPU seconds of the server and of the database, flushes of the
    write-ahead log (a fraction, as batches share them), and its bytes. With `is_one_account`, all
    operations write to the same account."""

    name: str
    server_seconds: float
    database_seconds: float
    flushes: float = 0.0
    wal_bytes: float = 0.0
    is_one_account: bool = False


@dataclass(frozen=True, slots=True)
class Deployment:
    """The number of server processes and of their cores, the cores of the database (0: it shares
    those of the servers), the flushes per second of its disk, and the CPU seconds per operation of
    other programs on the cores of the servers."""

    processes: int
    cores: float
    database_cores: float = 0.0
    flushes_per_second: float = float("inf")
    other_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Prices:
    """The price per month of a core with its memory, and of a GB of disk."""

    core: float = 25.0
    gigabyte: float = 0.10


def throughput(operation: Operation, deployment: Deployment) -> float:
    """Returns the operations per second."""
    processes = min(deployment.processes, deployment.cores)
    bounds = [processes * BUSY_PROCESS / operation.server_seconds]
    cores = deployment.cores * BUSY_CORES
    if deployment.processes > deployment.cores:
        cores *= _OVERSUBSCRIBED
    if deployment.database_cores:
        bounds.append(deployment.database_cores * BUSY_CORES / operation.database_seconds)
        if deployment.other_seconds:
            bounds.append(cores / (operation.server_seconds + deployment.other_seconds))
    else:
        bounds.append(
            cores
            / (operation.server_seconds + operation.database_seconds + deployment.other_seconds)
        )
    if operation.is_one_account:
        flush = operation.flushes / deployment.flushes_per_second
        alone = 1 / (
            operation.server_seconds + _BLOCKING_SHARE * operation.database_seconds + flush
        )
        bounds.append(
            alone * (_CONTENTION_EFFICIENCY + (1 - _CONTENTION_EFFICIENCY) / deployment.processes)
        )
    if operation.flushes:
        bounds.append(deployment.flushes_per_second / operation.flushes)
    return min(bounds)


def storage(customers: int, bytes_per_customer: float) -> float:
    """Returns the size of a database, in bytes."""
    return customers * bytes_per_customer


@dataclass(frozen=True, slots=True)
class Plan:
    """The resources for a load: cores of the servers and of the database, flushes and MB of WAL per
    second, GB of disk, and the cost per month."""

    server_cores: float
    database_cores: float
    flushes_per_second: float
    wal_megabytes: float
    gigabytes: float
    monthly_cost: float


def plan(
    reads: Operation,
    writes: Operation,
    rates: tuple[float, float],
    customers: int,
    bytes_per_customer: float,
    copies: int = 2,
    prices: Prices = Prices(),  # a constant
    headroom: float = 0.5,
) -> Plan:
    """Returns the resources for `rates` reads and writes per second, with the fraction `headroom`
    of the cores free, and for several copies of all customers."""
    load = [(reads, rates[0]), (writes, rates[1])]
    server_cores = sum(op.server_seconds * rate for op, rate in load) / (1 - headroom)
    database_cores = sum(op.database_seconds * rate for op, rate in load) / (1 - headroom)
    flushes = sum(op.flushes * rate for op, rate in load)
    wal_megabytes = sum(op.wal_bytes * rate for op, rate in load) / 1e6
    gigabytes = storage(customers, bytes_per_customer) * copies / 1e9
    monthly_cost = (
        server_cores + database_cores * copies
    ) * prices.core + gigabytes * prices.gigabyte
    return Plan(server_cores, database_cores, flushes, wal_megabytes, gigabytes, monthly_cost)
