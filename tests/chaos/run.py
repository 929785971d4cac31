"""One run: servers, clients, faults by a seed, the last reads, the verdict."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chronik.testing import Connection, Recording

from .clients import RealClients
from .faults import Faults
from .servers import NODES, Servers

TOPIC = "chaos"
HISTORY_FILE = "history.jsonl"


@dataclass
class Outcome:
    """What a run did and found."""

    seed: int
    folder: Path
    operations: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failovers_seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Anomalies of the checker, and whatever else must not happen."""


def run(folder: Path, seed: int, disturb: Callable[[Faults], None], *, read_gate: bool = True) -> Outcome:
    """Runs servers below a folder and disturbs them; history and logs stay in the folder.

    Without the read gate replicas lie, which shows that the run would find it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(seed, folder)
    servers = Servers(folder, read_gate=read_gate)
    try:
        with Connection(servers.addresses[NODES[0]]) as connection:
            connection.create_topic(TOPIC, 1, len(NODES))
        servers.wait_until_whole(TOPIC)
        history = Recording(servers.addresses, TOPIC, pinned=servers.pinned_addresses, seed=seed)
        faults = Faults(servers, history, TOPIC, seed)
        try:
            _work(servers, history, faults, disturb, outcome)
        except Exception as error:
            history.abandon()
            outcome.problems.append(f"{type(error).__name__}: {error}")
        outcome.operations, outcome.faults = len(history), faults.counts
        history.save(folder / HISTORY_FILE)
        verdict = history.check(raise_on_anomaly=False)
        if not verdict:
            outcome.problems.append(str(verdict))
        outcome.failovers_seconds = failovers(folder / HISTORY_FILE, faults.leader_kills_ns)
        outcome.problems += servers.unexpected_exits()
        outcome.problems += [f"node {id} panicked, see its log" for id in NODES if "panicked" in servers.log(id)]
    finally:
        servers.close()
    return outcome


def _work(
    servers: Servers, history: Recording, faults: Faults, disturb: Callable[[Faults], None], outcome: Outcome
) -> None:
    clients = RealClients(servers, history, TOPIC)
    with history:
        with clients:
            history.wait_for_reads(10)
            history.wait_for_writes(10)
            disturb(faults)
            faults.heal()
            faults.wipe()
        outcome.problems += clients.failures
    if not clients.sent or not clients.consumed:
        outcome.problems.append(f"kafka-python sent {clients.sent} and consumed {clients.consumed} records")


def failovers(history: Path, kills_ns: list[int]) -> list[float]:
    """For each death of a leader the seconds until a write that began after it was acknowledged."""
    with history.open() as lines:
        events = (json.loads(line) for line in lines if '"op":"send"' in line)
        written = sorted(
            (event["t_ret_ns"], event["t_inv_ns"])
            for event in events
            if event["status"] == "ok" and event["args"]["acks"] == -1
        )
    seconds = []
    for killed in kills_ns:
        first = next((returned for returned, invoked in written if invoked > killed), None)
        seconds.append(float("inf") if first is None else (first - killed) / 1e9)
    return seconds


def quantile(values: list[float], share: float) -> float:
    """The smallest value that is not below that share of all; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def run_for(folder: Path, seed: int, seconds: float) -> Outcome:
    """A run of so many seconds of faults by chance."""
    begun = time.monotonic()
    outcome = run(folder, seed, lambda faults: faults.run(seconds))
    took = time.monotonic() - begun
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.faults.items()))
    print(f"seed {seed}: {outcome.operations} operations in {took:.0f} s; faults: {faults}; {_times(outcome)}")
    for problem in outcome.problems:
        print(f"seed {seed}: {problem}")
    return outcome


def _times(outcome: Outcome) -> str:
    seconds = outcome.failovers_seconds
    p50, p99, worst = (quantile(seconds, share) for share in (0.5, 0.99, 1.0))
    return f"{len(seconds)} failovers, p50 {p50:.2f} s, p99 {p99:.2f} s, max {worst:.2f} s"
