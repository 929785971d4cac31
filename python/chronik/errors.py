"""Every error chronik raises, in one place.

All derive from :class:`ChronikError`, and from the built-in class a caller would expect, so that both
``except chronik.ChronikError`` and ``except TimeoutError`` catch what they say. The extension module raises these same
classes; it defines none of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._history import Verdict

__all__ = [
    "AddressError",
    "ChronikError",
    "ChronikWarning",
    "ClusterStateError",
    "ClusterTimeoutError",
    "ForkError",
    "HistoryError",
    "InternalError",
    "InvalidTypeError",
    "InvalidValueError",
    "KafkaError",
    "NotFoundError",
    "SystemRefusedError",
    "TopicExistsError",
]


class ChronikError(Exception):
    """Base of every error raised by chronik."""


class InvalidValueError(ChronikError, ValueError):
    """An argument has a value that is not allowed; the text names argument, value and what is allowed."""


class InvalidTypeError(ChronikError, TypeError):
    """An argument has the wrong type; the text names argument, value and what is allowed."""


class NotFoundError(ChronikError, LookupError):
    """No such node, topic or partition."""


class TopicExistsError(ChronikError):
    """A topic of that name exists already."""


class ClusterStateError(ChronikError, RuntimeError):
    """The cluster or node is not in a state that allows the call: not started, stopped, killed."""


class ClusterTimeoutError(ChronikError, TimeoutError):
    """A bounded wait ended without the thing waited for."""


class AddressError(ChronikError, OSError):
    """An address could not be bound or reached."""


class SystemRefusedError(ChronikError, OSError):
    """The system gave no thread or socket, or a data directory cannot be used."""


class KafkaError(ChronikError):
    """A broker answered with a Kafka error code.

    ``code`` is the number of the Kafka protocol, for example 6 for NOT_LEADER_OR_FOLLOWER.
    """

    def __init__(self, message: str, code: int = -1) -> None:
        """An error with its text and code."""
        super().__init__(message)
        self.code = code


class HistoryError(ChronikError, AssertionError):
    """A history breaks a promise; the text says which, by which events, and what should have been.

    ``verdict`` is the whole verdict, or None where a client found out by itself.
    """

    def __init__(self, message: str, verdict: Verdict | None = None) -> None:
        """An error with its text and verdict."""
        super().__init__(message)
        self.verdict = verdict


class ForkError(ChronikError, RuntimeError):
    """A cluster was used in a child process made by ``fork()``: threads do not survive a fork."""


class InternalError(ChronikError, RuntimeError):
    """A broken invariant inside chronik. Please report it."""


class ChronikWarning(UserWarning):
    """Something is accepted and has no effect, for example a Kafka configuration chronik has no use for."""
