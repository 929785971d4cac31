"""What a test's report says about its clusters: their state, their logs, and errors nobody expected."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Final

from ..cluster import Cluster
from ..errors import ChronikError
from ..node import LogLine

LINES_PER_NODE_MAX: Final = 40
COUNTERS: Final = (
    "fetches_served_as_leader",
    "fetches_served_as_follower",
    "read_gate_rounds",
    "read_gate_waits",
    "read_gate_timeouts",
)


class Watch:
    """A cluster lent to a test, and which errors in its logs are allowed."""

    def __init__(self, cluster: Cluster, allowed: Sequence[str]) -> None:
        self.cluster = cluster
        self._allowed = [re.compile(pattern) for pattern in allowed]
        self._since_ms = int(time.time() * 1000)
        self._reported: set[tuple[int, LogLine]] = set()

    def new_errors(self) -> list[str]:
        """ERROR lines since the test began that are not allowed and were not returned before."""
        found = []
        for id, lines in self._logs().items():
            for line in lines:
                if line.level == "ERROR" and (id, line) not in self._reported and not self._is_allowed(line):
                    self._reported.add((id, line))
                    found.append(f"node {id}: {line}")
        return found

    def sections(self) -> list[tuple[str, str]]:
        """Titles and texts for the report of a failed test."""
        sections = [("chronik cluster", "\n".join([repr(self.cluster), *self._counters()]))]
        for id, lines in self._logs().items():
            shown = lines[-LINES_PER_NODE_MAX:]
            left_out = [f"({len(lines) - len(shown)} earlier lines left out)"] if len(lines) > len(shown) else []
            text = "\n".join([*left_out, *(_stamped(line) for line in shown)])
            sections.append((f"chronik node {id} log", text or "(no lines)"))
        return sections

    def _logs(self) -> dict[int, list[LogLine]]:
        try:
            logs = self.cluster.logs()
        except ChronikError:
            return {}
        return {id: [line for line in lines if line.at_ms >= self._since_ms] for id, lines in logs.items()}

    def _is_allowed(self, line: LogLine) -> bool:
        return any(pattern.search(str(line)) for pattern in self._allowed)

    def _counters(self) -> list[str]:
        if not self.cluster.is_running:
            return []
        lines = []
        for node in self.cluster.nodes:
            try:
                stats = node.stats()
            except ChronikError as error:
                lines.append(f"node {node.id}: {error}")
                continue
            state = "running" if node.is_running else "not running"
            counts = ", ".join(f"{name} {stats.get(name, 0)}" for name in COUNTERS)
            lines.append(f"node {node.id} {state}: {counts}")
        return lines


def _stamped(line: LogLine) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(line.at_ms / 1000))
    return f"{clock}.{line.at_ms % 1000:03d} {line}"
