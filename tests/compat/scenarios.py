"""Runs our own scenarios of every client, and who played which."""

from __future__ import annotations

import importlib

import pytest

from clients import scenarios
from clients.builds import HERE as CLIENTS

from .report import ABILITIES, FAILED, PASSED, SKIPPED, ClientResult

WORKERS = 2
CLASSES = [getattr(scenarios, name) for ability in ABILITIES for name in ability.classes]


class Outcomes:
    """A pytest plugin that keeps the outcome of every test."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for setup, call and teardown; the worst counts."""
        if report.failed:
            self.by_test[report.nodeid] = FAILED
        elif report.skipped:
            self.by_test[report.nodeid] = SKIPPED
        else:
            self.by_test.setdefault(report.nodeid, PASSED)


def run_all() -> list[ClientResult]:
    """Plays every scenario of every client."""
    outcomes = Outcomes()
    pytest.main([str(CLIENTS), "-q", "-n", str(WORKERS)], plugins=[outcomes])
    results: dict[tuple[str, str], ClientResult] = {}
    for test, outcome in outcomes.by_test.items():
        file, client_class, function = test.split("::")
        module = importlib.import_module(f"clients.{file.rsplit('/', 1)[-1].removesuffix('.py')}")
        client = getattr(module, client_class)
        result = results.setdefault((client.name, client.version), ClientResult(client.name, client.version))
        result.outcomes[ability_of(function)] = outcome
    return list(results.values())


def ability_of(function: str) -> str:
    """The scenario class that a test belongs to."""
    return next(scenario.__name__ for scenario in CLASSES if function in vars(scenario))
