"""The table of what passed, as the README shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Ability:
    """One column: what a client can do, and the classes of `clients.scenarios` that show it."""

    title: str
    classes: tuple[str, ...]


ABILITIES = (
    Ability("write, read", ("Writes",)),
    Ability("read at a follower", ("Racks", "Pinned")),
    Ability("group", ("Groups",)),
    Ability("share group", ("Shares",)),
    Ability("transaction", ("Transactions",)),
    Ability("exactly-once copy", ("Copies",)),
    Ability("admin", ("Administers",)),
)
# How a client comes to the follower.
WORDS = {"Racks": "by rack", "Pinned": "by address"}


@dataclass
class ClientResult:
    """What a client did: the outcome by scenario class."""

    client: str
    version: str
    outcomes: dict[str, str] = field(default_factory=dict)

    def cell(self, ability: Ability) -> str:
        """What the table says; empty where the client has no such thing."""
        for name in ability.classes:
            if name in self.outcomes:
                outcome = self.outcomes[name]
                return WORDS.get(name, "yes") if outcome == PASSED else outcome.upper()
        return ""


@dataclass
class SuiteResult:
    """What a foreign suite did: the outcome by test, and the exceptions that tests are under."""

    client: str
    version: str
    outcomes: dict[str, str]
    excepted: dict[str, str]

    def passed(self) -> int:
        """How many tests passed that are under no exception."""
        return sum(1 for test, outcome in self.outcomes.items() if outcome == PASSED and test not in self.excepted)

    def failed(self) -> list[str]:
        """The tests that did not pass and are under no exception."""
        return sorted(
            test for test, outcome in self.outcomes.items() if outcome != PASSED and test not in self.excepted
        )


def table(clients: Iterable[ClientResult], suites: Iterable[SuiteResult], reasons: dict[str, dict[str, str]]) -> str:
    """The whole text: the scenarios, the suites, the exceptions."""
    titles = ["client", "version", *(ability.title for ability in ABILITIES)]
    lines = [row(titles), row(["---"] * len(titles))]
    lines += [
        row([result.client, result.version, *(result.cell(ability) for ability in ABILITIES)])
        for result in sorted(clients, key=lambda result: (result.client.lower(), result.version))
    ]
    lines += ["", row(["suite of", "version", "passed", "failed", "left out"]), row(["---"] * 5)]
    lines += [
        row([suite.client, suite.version, str(suite.passed()), str(len(suite.failed())), str(len(suite.excepted))])
        for suite in suites
    ]
    lines += ["", "Left out:", ""]
    lines += [f"- {client}, `{test}`: {reason}." for client in reasons for test, reason in reasons[client].items()]
    return "\n".join(lines) + "\n"


def row(cells: list[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"
