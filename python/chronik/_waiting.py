"""Waiting for a condition, with a deadline and without a fixed pause."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from .errors import ClusterTimeoutError

# How often a condition is looked at: quickly at first, then seldom enough to cost nothing.
_PAUSE_FIRST_SECONDS = 0.0005
_PAUSE_MAX_SECONDS = 0.02


def pauses() -> Iterator[float]:
    """The seconds between two looks."""
    pause = _PAUSE_FIRST_SECONDS
    while True:
        yield pause
        pause = min(pause * 2, _PAUSE_MAX_SECONDS)


def timed_out(predicate: Callable[[], object], timeout: float, message: str | None = None) -> ClusterTimeoutError:
    """The error for a condition that stayed false."""
    waited_for = message or getattr(predicate, "__name__", repr(predicate))
    return ClusterTimeoutError(f"{waited_for}: still false after {timeout} s")


def wait_for(predicate: Callable[[], object], timeout: float = 5.0, message: str | None = None) -> None:
    """Returns as soon as ``predicate()`` is true; ClusterTimeoutError after ``timeout`` seconds.

    An exception of the predicate passes through.
    """
    deadline = time.monotonic() + timeout
    for pause in pauses():
        if predicate():
            return
        if time.monotonic() >= deadline:
            raise timed_out(predicate, timeout, message)
        time.sleep(pause)
