"""Node logs to Python's ``logging``: loggers ``chronik.node.<id>``, and ``chronik`` for lines of no node.

Nodes put their lines into a bounded queue in Rust and never wait for Python. One daemon thread moves them on; it lives
while a cluster runs and is joined when the last one stops.
"""

from __future__ import annotations

import threading

from . import _chronik

# By the numbers of `logging`, which is imported with the first cluster: it is half the cost of `import chronik`.
_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40
_LEVELS = {"ERROR": _ERROR, "WARN": _WARNING, "INFO": _INFO, "DEBUG": _DEBUG, "TRACE": _DEBUG}
# How soon the thread notices that the last cluster was dropped without stop(); lines themselves wake it at once.
_POLL_MS = 1000
_JOIN_SECONDS = 2.0

_lock = threading.Lock()
_users = 0
# One entry per cluster dropped without stop(). A finaliser may run anywhere, also under the lock, so it only appends.
_abandoned: list[None] = []
_thread: threading.Thread | None = None


def acquire() -> None:
    """One more cluster runs; the first starts the thread."""
    global _users, _thread
    # Here and not on the thread: a fork in the middle of an import leaves the child half a module.
    import logging  # noqa: F401

    with _lock:
        _settle()
        _users += 1
        if _thread is None:
            _chronik.subscribe_logs()
            _thread = threading.Thread(target=_pump, name="chronik-logs", daemon=True)
            _thread.start()


def release() -> None:
    """One cluster less; the last one ends the thread, after the lines queued so far."""
    global _users, _thread
    with _lock:
        _users -= 1
        _settle()
        if _users > 0 or _thread is None:
            return
        _chronik.unsubscribe_logs()
        if _thread is not threading.current_thread():
            _thread.join(_JOIN_SECONDS)
        _thread = None


def abandon() -> None:
    """For finalisers: one cluster less, without waiting; the thread ends by itself within ``_POLL_MS``."""
    _abandoned.append(None)


def shut_down() -> None:
    """At interpreter exit: ends the thread whatever still runs."""
    global _users
    with _lock:
        _users = 1
        _abandoned.clear()
    release()


def _settle() -> None:
    global _users
    while _abandoned and _users > 0:
        _abandoned.pop()
        _users -= 1


def forget_after_fork() -> None:
    """In the child of a fork the thread and whoever held the lock are gone."""
    global _users, _thread, _lock
    _lock = threading.Lock()
    _users, _thread = 0, None
    _abandoned.clear()


def _pump() -> None:
    while (lines := _chronik.next_log_lines(_POLL_MS)) is not None:
        for at_ms, cluster, node, level, target, text in lines:
            _emit(at_ms, cluster, node, level, target, text)
        if _abandoned and _is_last_abandoned():
            return


def _is_last_abandoned() -> bool:
    global _thread
    # Whoever holds the lock settles the count itself, and may be waiting for this thread.
    if not _lock.acquire(blocking=False):
        return False
    try:
        _settle()
        if _users > 0:
            return False
        _chronik.unsubscribe_logs()
        _thread = None
        return True
    finally:
        _lock.release()


def _emit(at_ms: int, cluster: str, node: int | None, level: str, target: str, text: str) -> None:
    import logging

    logger = logging.getLogger("chronik" if node is None else f"chronik.node.{node}")
    number = _LEVELS.get(level, _INFO)
    if not logger.isEnabledFor(number):
        return
    record = logger.makeRecord(logger.name, number, target, 0, text, (), None, target)
    record.created = at_ms / 1000
    record.msecs = at_ms % 1000
    record.chronik_cluster = cluster
    record.chronik_target = target
    logger.handle(record)
