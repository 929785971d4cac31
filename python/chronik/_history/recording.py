"""`Recording`: a history written by clients of its own, which write and read at every replica in the background.

It needs addresses only, so that it does the same to nodes of this process and to servers elsewhere. It owns the
threads and what they share; it makes no faults and judges nothing.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._kafka import Connection
from .._waiting import wait_for
from ..errors import AddressError, ClusterTimeoutError, HistoryError, InvalidValueError
from .events import History

if TYPE_CHECKING:
    from ..node import Node

READ_SECONDS = 15.0
"""Longer than any read may take at a node that runs: its answer is wanted even when the node was frozen meanwhile."""
WRITE_SECONDS = 1.5
"""A writer that hears nothing for so long looks for another leader."""
PENDING_SECONDS = 60.0
STOP_SECONDS = 10.0
"""A client that was interrupted ends at once, unless it is about to connect to a host that does not answer."""
PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Target:
    """An address that leads to one node."""

    node: int
    address: str
    pinned: bool = False


class Shared:
    """What all clients of a recording know: the targets, the ends proved so far, and when to stop."""

    def __init__(self, history: History, targets: Sequence[Target], topic: str, partitions: int) -> None:
        """Nothing is known yet."""
        self.history = history
        self.targets = tuple(targets)
        self.topic = topic
        self.partitions = range(partitions)
        self.ended = threading.Event()
        self.given_up = threading.Event()
        self._lock = threading.Lock()
        self._ends: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def end(self, partition: int) -> int:
        """The largest end that anybody has been told of: what every later read must know."""
        return self._ends[partition]

    def prove_end(self, partition: int, end: int) -> None:
        """Somebody was told of this end."""
        with self._lock:
            self._ends[partition] = max(self._ends[partition], end)

    def count(self, what: str) -> None:
        """One more of these."""
        with self._lock:
            self._counts[what] += 1

    def counted(self, what: str) -> int:
        """How many of these there are."""
        return self._counts[what]

    def problem(self, text: str) -> None:
        """Something no checker sees, for example a client that died."""
        with self._lock:
            self.problems.append(text)


class Client(threading.Thread):
    """One client: steps, one after the other, until the recording ends. A lost connection is made anew."""

    request_seconds = READ_SECONDS

    def __init__(self, shared: Shared, name: str, seed: int) -> None:
        """A client that is not started yet."""
        super().__init__(name=f"chronik-history-{name}", daemon=True)
        self.shared = shared
        self.client = name
        self.random = random.Random(f"{name}-{seed}")
        self._connections: dict[str, Connection] = {}
        self._connections_lock = threading.Lock()
        """Only the client's own thread uses the connections; another one may interrupt them."""

    def run(self) -> None:
        """Steps until the end; what the cluster does to a step is no reason to stop."""
        try:
            while not self.shared.ended.is_set():
                try:
                    self.step()
                except (AddressError, ClusterTimeoutError):
                    self.pause()
        except Exception as error:
            # Its thread proves nothing any more, so whoever waits for the recording must hear of it.
            self.shared.problem(f"client {self.client} died: {error!r}")
        finally:
            self.close()

    def step(self) -> None:
        """One request or a few, with their records."""
        raise NotImplementedError

    def connection(self, target: Target) -> Connection:
        """The connection to an address, made when there is none."""
        connection = self._connections.get(target.address)
        if connection is None:
            connection = Connection(target.address, timeout=self.request_seconds, client_id=self.client)
            with self._connections_lock:
                self._connections[target.address] = connection
                if self.shared.given_up.is_set():
                    connection.abort()
        return connection

    def forget(self, target: Target) -> None:
        """Closes the connection to an address: an answer may be missing on it."""
        with self._connections_lock:
            connection = self._connections.pop(target.address, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Closes all connections."""
        with self._connections_lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def interrupt(self) -> None:
        """Ends whatever the client waits for, from another thread; the recording was given up before."""
        with self._connections_lock:
            for connection in self._connections.values():
                connection.abort()

    def pause(self) -> None:
        """Lets a moment pass after a failure."""
        self.shared.given_up.wait(PAUSE_SECONDS)


class Recording(History):
    """A history that writers and readers at the addresses of a cluster's nodes fill; a context manager.

    - ``addresses``: ``host:port`` by node id; ``pinned``: the pinned addresses, if there are any.
    - ``topic`` exists and has ``partitions`` partitions.
    - ``writers`` idempotent producers, and as many plain ones, write to the leader; a reader reads at every address.
    - ``seed`` decides what the clients do next, though not when.

    Leaving the block stops the clients once nothing of theirs is pending, and then reads every partition at every
    node from its start. After that, ``check``.
    """

    def __init__(
        self,
        addresses: Mapping[int, str],
        topic: str,
        *,
        pinned: Mapping[int, str] | None = None,
        partitions: int = 1,
        writers: int = 1,
        seed: int = 0,
    ) -> None:
        """Checks the arguments; starts nothing."""
        from .readers import Reader
        from .writers import IdempotentWriter, PlainWriter

        super().__init__()
        if not addresses:
            raise InvalidValueError("addresses={} names no node; give at least one address by its node id")
        self._own = [Target(node, address) for node, address in addresses.items()]
        self._pinned = [Target(node, address, pinned=True) for node, address in (pinned or {}).items()]
        self._shared = Shared(self, self._own, topic, partitions)
        clients: list[Client] = []
        for number in range(writers):
            clients.append(IdempotentWriter(self._shared, f"idempotent-{number}", seed))
            clients.append(PlainWriter(self._shared, f"writer-{number}", seed))
        for target in self._own + self._pinned:
            clients.append(Reader(self._shared, target, seed))
        self._clients = clients

    def __enter__(self) -> Recording:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def start(self) -> None:
        """Starts all clients."""
        for client in self._clients:
            client.start()

    def finish(self) -> None:
        """Waits until nothing is pending, stops the clients, and reads every partition at every node."""
        from .readers import read_everything

        self._shared.ended.set()
        self._join(PENDING_SECONDS)
        stuck = [client.client for client in self._clients if client.is_alive()]
        if stuck:
            self.abandon()
            raise ClusterTimeoutError(f"{', '.join(stuck)}: a request is still pending after {PENDING_SECONDS} s")
        if self._shared.problems:
            raise HistoryError("; ".join(self._shared.problems))
        read_everything(self._shared, self._own)

    def abandon(self) -> None:
        """Stops the clients and does not care for what is pending."""
        self._shared.ended.set()
        self._shared.given_up.set()
        for client in self._clients:
            client.interrupt()
        self._join(STOP_SECONDS)

    def writes(self) -> int:
        """How many writes were acknowledged so far."""
        return self._shared.counted("writes")

    def reads(self, node: Node | int) -> int:
        """How many reads a node has served so far."""
        return self._shared.counted(f"reads at {_id(node)}")

    def refusals(self, node: Node | int) -> int:
        """How many reads a node has refused so far, as one must that cannot prove where the end is."""
        return self._shared.counted(f"refusals at {_id(node)}")

    def wait_for_writes(self, more: int, timeout: float = 30.0) -> None:
        """Returns when that many more writes were acknowledged."""
        goal = self.writes() + more
        wait_for(lambda: self._alive() and self.writes() >= goal, timeout, f"{more} more acknowledged writes")

    def wait_for_reads(self, more: int, nodes: Iterable[Node | int] | None = None, timeout: float = 30.0) -> None:
        """Returns when each of these nodes, by default all, has served that many more reads."""
        ids = [target.node for target in self._own] if nodes is None else [_id(node) for node in nodes]
        goals = {node: self.reads(node) + more for node in ids}
        wait_for(
            lambda: self._alive() and all(self.reads(node) >= goal for node, goal in goals.items()),
            timeout,
            f"{more} more reads at each of the nodes {ids}",
        )

    def wait_for_refusals(self, more: int, node: Node | int, timeout: float = 30.0) -> None:
        """Returns when that node has refused that many more reads."""
        goal = self.refusals(node) + more
        wait_for(
            lambda: self._alive() and self.refusals(node) >= goal, timeout, f"{more} more refusals at node {_id(node)}"
        )

    def _alive(self) -> bool:
        if self._shared.problems:
            raise HistoryError("; ".join(self._shared.problems))
        return True

    def _join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for client in self._clients:
            client.join(max(0.0, deadline - time.monotonic()))


def _id(node: Node | int) -> int:
    return node if isinstance(node, int) else node.id
