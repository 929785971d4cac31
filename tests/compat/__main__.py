"""`python -m compat`, in `tests/`: runs everything and writes `target/compat.md`.

Exit status 0: all passed but the listed exceptions, and the table is the one that is expected, `table.md`, which the
README shows. `--only` names suites, or `clients` for our own scenarios; then the table is not compared. `--accept` puts
the new table into both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from clients.builds import ROOT

from .exceptions import EXCEPTIONS
from .report import FAILED, ClientResult, SuiteResult, table
from .scenarios import run_all
from .suites import FOLDER, SUITES

TABLE = ROOT / "target" / "compat.md"
README = ROOT / "README.md"
EXPECTED = ROOT / "tests" / "compat" / "table.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat", description="Every client against chronik.")
    parser.add_argument("--only", nargs="*", choices=["clients", *SUITES], default=[])
    parser.add_argument("--accept", action="store_true", help="let the table and the README say what this run found")
    options = parser.parse_args()
    only = options.only
    FOLDER.mkdir(parents=True, exist_ok=True)
    clients = run_all() if "clients" in only or not only else []
    suites = [run() for name, run in SUITES.items() if name in only or not only]
    written = table(clients, suites, EXCEPTIONS)
    TABLE.write_text(written)
    print(written)
    if options.accept and not only:
        accept(written)
    problems = [*problems_of_clients(clients), *problems_of_suites(suites)]
    if not only and written != EXPECTED.read_text():
        problems.append(f"{TABLE} is not what {EXPECTED} says; put the new table there and into the README")
    for problem in problems:
        print(f"compat: {problem}")
    return 1 if problems else 0


def accept(written: str) -> None:
    expected, readme = EXPECTED.read_text(), README.read_text()
    README.write_text(readme.replace(expected, written))
    EXPECTED.write_text(written)


def problems_of_clients(clients: Iterable[ClientResult]) -> list[str]:
    return [
        f"{client.client}: {scenario} {outcome}"
        for client in clients
        for scenario, outcome in client.outcomes.items()
        if outcome == FAILED
    ]


def problems_of_suites(suites: Iterable[SuiteResult]) -> list[str]:
    problems = []
    for suite in suites:
        problems += [f"{suite.client}: {test} {suite.outcomes[test]}" for test in suite.failed()]
        if suite.passed() == 0:
            problems.append(f"{suite.client}: no test passed; see its log in {FOLDER}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
