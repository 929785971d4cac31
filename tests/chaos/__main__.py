"""`python -m chaos`, in `tests/`: several runs, and whether they hold their limits.

Exit status 0: no anomaly, no failed idempotent produce, enough operations, quick failovers. Else 1; the folder of a
failed run keeps its history and the logs of its servers.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from .run import HISTORY_FILE, Outcome, quantile, run_for

OPERATIONS_PER_SECOND_MIN = 200_000 / 600
FAILOVER_P99_SECONDS_MAX = 2.0
SEED_MAX = 2**32


def main() -> int:
    options = arguments()
    # A run takes minutes; what it found is to be seen also where the output goes to a file.
    sys.stdout.reconfigure(line_buffering=True)
    folder = Path(tempfile.mkdtemp(prefix="chronik-chaos-", dir=options.dir))
    outcomes = []
    for number in range(options.runs):
        outcome = run_for(folder / f"run-{number}", options.seed + number, options.seconds)
        outcomes.append(outcome)
        if outcome.problems:
            print(f"seed {outcome.seed}: kept {outcome.folder / HISTORY_FILE} and the logs beside it")
        else:
            shutil.rmtree(outcome.folder)
    failures = judge(outcomes, options.runs * options.seconds)
    for failure in failures:
        print(f"chaos: {failure}")
    if not any(folder.iterdir()):
        folder.rmdir()
    return 1 if failures else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Chaos on three chronik-server processes.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120.0, help="of faults, per run")
    parser.add_argument("--seed", type=int, default=random.randrange(SEED_MAX), help="of the first run; then one more")
    parser.add_argument(
        "--dir", type=Path, default=None, help="where the servers keep their files (a temporary folder)"
    )
    return parser.parse_args()


def judge(outcomes: list[Outcome], seconds: float) -> list[str]:
    """The limits that were not held; prints the sums."""
    operations = sum(outcome.operations for outcome in outcomes)
    failovers = [second for outcome in outcomes for second in outcome.failovers_seconds]
    p50, p99, worst = (quantile(failovers, share) for share in (0.5, 0.99, 1.0))
    problems = sum(len(outcome.problems) for outcome in outcomes)
    seeds = " ".join(str(outcome.seed) for outcome in outcomes)
    print(
        f"chaos: seeds {seeds}; {operations} operations, {problems} anomalies; "
        f"{len(failovers)} failovers, p50 {p50:.2f} s, p99 {p99:.2f} s, max {worst:.2f} s"
    )
    failures = [f"seed {outcome.seed} failed" for outcome in outcomes if outcome.problems]
    if operations < OPERATIONS_PER_SECOND_MIN * seconds:
        failures.append(f"{operations} operations; at least {OPERATIONS_PER_SECOND_MIN * seconds:.0f} must be checked")
    if p99 > FAILOVER_P99_SECONDS_MAX:
        failures.append(f"failover p99 is {p99:.2f} s; at most {FAILOVER_P99_SECONDS_MAX} s is promised")
    return failures


if __name__ == "__main__":
    sys.exit(main())
