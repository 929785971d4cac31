"""The README says which clients were tried: what `make compat` found, for the versions that are pinned."""

from __future__ import annotations

import importlib

import pytest

from clients.builds import HERE as CLIENTS
from clients.scenarios import Client
from compat.exceptions import EXCEPTIONS
from support import ROOT

TABLE = (ROOT / "tests" / "compat" / "table.md").read_text()
# Where a client's version is pinned, by the folder of its program.
PINS = {
    "": ROOT / "tests" / "requirements.txt",
    "go": CLIENTS / "go" / "go.mod",
    "java": CLIENTS / "java" / "pom.xml",
    "kafkajs": CLIENTS / "kafkajs" / "package.json",
    "rust": CLIENTS / "rust" / "Cargo.toml",
}
MODULES = sorted(path.stem for path in CLIENTS.glob("test_*.py"))


def clients(module: str) -> list[type[Client]]:
    """The clients of a test file."""
    members = vars(importlib.import_module(f"clients.{module}")).values()
    return [member for member in members if isinstance(member, type) and "recipe" in vars(member)]


def test_the_readme_shows_the_table():
    assert TABLE in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("module", MODULES)
def test_a_client_is_in_the_table_with_the_version_that_is_pinned(module):
    assert clients(module)
    for client in clients(module):
        assert f"| {client.name} | {client.version} |" in TABLE
        pins = PINS[client.recipe.language].read_text() + (ROOT / "Makefile").read_text()
        assert client.version in pins


@pytest.mark.parametrize("suite", EXCEPTIONS)
def test_every_exception_of_a_suite_is_told_with_its_reason(suite):
    for test, reason in EXCEPTIONS[suite].items():
        assert f"- {suite}, `{test}`: {reason}." in TABLE
