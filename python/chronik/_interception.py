"""Requests of clients that a test counts, delays or refuses."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from . import _options
from ._waiting import wait_for

if TYPE_CHECKING:
    from . import _chronik

REQUESTS_MAX = 2**63 - 1


class Interception:
    """What ``cluster.intercept(...)`` returns. As a context manager it ends with the block."""

    def __init__(self, engine: _chronik.Interception, what: str) -> None:
        """Made by the cluster."""
        self._engine = engine
        self._what = what

    @property
    def count(self) -> int:
        """How many requests it has struck so far; at most ``times``."""
        return self._engine.count()

    @property
    def is_active(self) -> bool:
        """True until it is removed or has struck ``times`` requests."""
        return self._engine.is_active()

    def wait(self, count: int = 1, timeout: float = 5.0) -> None:
        """Returns as soon as it has struck ``count`` requests; ClusterTimeoutError after ``timeout`` seconds."""
        _options.integer("count", count, 1, REQUESTS_MAX)
        message = f"the interception of {self._what} to strike {count} times"
        wait_for(lambda: self.count >= count, timeout, message)

    def remove(self) -> None:
        """Ends it: later requests are served. Twice is fine."""
        self._engine.remove()

    def __enter__(self) -> Interception:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        state = "active" if self.is_active else "over"
        return f"<chronik.Interception of {self._what}, {state}, struck {self.count}>"
