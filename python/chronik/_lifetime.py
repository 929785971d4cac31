"""What happens to running clusters when nobody stops them: interpreter exit, finalisers, fork.

At exit all are stopped, in parallel, within two seconds. A cluster dropped while it runs warns and is stopped by a
thread of the extension. In the child of a fork clusters are forgotten: their threads live in the parent only.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import Protocol

from . import _logs
from .errors import ForkError

EXIT_SECONDS = 2.0


class Stoppable(Protocol):
    """A running cluster."""

    def stop(self) -> None: ...


_running: weakref.WeakSet[Stoppable] = weakref.WeakSet()
_installed = False


def register(cluster: Stoppable) -> None:
    """A cluster started."""
    global _installed
    if not _installed:
        _installed = True
        atexit.register(_stop_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget)
    _running.add(cluster)


def check_process(pid: int) -> None:
    """Raises ForkError when this is not the process that made the cluster."""
    if os.getpid() != pid:
        raise ForkError(
            f"this cluster was started by process {pid} and cannot be used in its child {os.getpid()}: threads do not "
            "survive fork(); start a cluster in the child, or give it cluster.bootstrap_servers only"
        )


def unregister(cluster: Stoppable) -> None:
    """A cluster stopped."""
    _running.discard(cluster)


def running() -> list[Stoppable]:
    """The clusters that run in this process."""
    return list(_running)


def _forget() -> None:
    _running.clear()
    _logs.forget_after_fork()


def _stop_all() -> None:
    stoppers = [threading.Thread(target=_stop_quietly, args=(cluster,), daemon=True) for cluster in _running]
    deadline = time.monotonic() + EXIT_SECONDS
    for stopper in stoppers:
        try:
            stopper.start()
        except RuntimeError:
            # Newer interpreters start no threads at exit; then one after the other.
            stopper.run()
    for stopper in stoppers:
        if stopper.is_alive():
            stopper.join(max(0.0, deadline - time.monotonic()))
    _logs.shut_down()


def _stop_quietly(cluster: Stoppable) -> None:
    try:
        cluster.stop()
    except Exception as error:
        import sys

        print(f"chronik: a cluster did not stop in order at exit: {error}", file=sys.stderr)
