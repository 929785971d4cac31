"""A slice of `make chaos`: every fault once on three server processes, and proof that each was real."""

from __future__ import annotations

import json
from pathlib import Path

from chaos.faults import KINDS, Faults
from chaos.run import HISTORY_FILE, run

SEED = 7
LEADER_KILL_SECONDS = 2.0


def test_every_fault_once_breaks_no_promise(tmp_path: Path):
    outcome = run(tmp_path, SEED, Faults.run_each)
    assert outcome.problems == []
    # Every kind, and the lost disk with which each run ends.
    assert sum(outcome.faults.values()) == len(outcome.faults) == len(KINDS) + 1
    assert len(outcome.failovers_seconds) == 1
    assert 0 < outcome.failovers_seconds[0] <= LEADER_KILL_SECONDS
    assert_that_all_clients_saw_it(tmp_path / HISTORY_FILE)


def test_control_without_the_gate_chaos_finds_lies(tmp_path: Path):
    outcome = run(tmp_path, SEED, Faults.isolate, read_gate=False)
    assert any("stale-read" in problem for problem in outcome.problems)
    assert outcome.faults["isolate"] == 1


def assert_that_all_clients_saw_it(history: Path) -> None:
    with history.open() as lines:
        events = [json.loads(line) for line in lines]
    served = {(event["client"], event["op"]) for event in events if event["status"] == "ok"}
    assert {("kafka-python", "send"), ("idempotent-0", "send"), ("writer-0", "send")} <= served
    assert {(f"kafka-python-rack-{id}", "fetch") for id in (1, 2, 3)} <= served
    assert {(f"reader-{id}-probe", "list") for id in (1, 2, 3)} <= served
    assert {(f"reader-{id}-pinned-probe", "fetch") for id in (1, 2, 3)} <= served
    assert any(event["status"] != "ok" for event in events)
