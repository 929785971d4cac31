"""The asynchronous twin: the same names as coroutines, each running the blocking call on a thread of the loop.

The brokers have threads of their own, so a call takes microseconds to milliseconds; the thread keeps the loop free.
Properties stay properties: they do not wait.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._chronik import Snapshot
from ._interception import Interception
from ._options import ConfigValue
from ._waiting import pauses, timed_out
from .cluster import Cluster
from .node import LogLine, Node

if TYPE_CHECKING:
    from ._history import ClusterRecording, Verdict


class AsyncNode:
    """A node of an AsyncCluster; see :class:`chronik.Node`."""

    def __init__(self, node: Node) -> None:
        """Made by the cluster."""
        self._node = node

    @property
    def id(self) -> int:
        """The node id, as Metadata shows it."""
        return self._node.id

    @property
    def rack(self) -> str:
        """The rack; pass it as ``client_rack`` to make a consumer read from here."""
        return self._node.rack

    @property
    def host(self) -> str:
        """The host it listens on and advertises."""
        return self._node.host

    @property
    def port(self) -> int:
        """The Kafka port; a restart keeps it."""
        return self._node.port

    @property
    def bootstrap_servers(self) -> str:
        """This node's own address."""
        return self._node.bootstrap_servers

    @property
    def pinned_bootstrap_servers(self) -> str:
        """A second address: whatever a client does through it, reads are served by this node."""
        return self._node.pinned_bootstrap_servers

    @property
    def is_running(self) -> bool:
        """False after ``kill``, ``crash`` or ``wipe``, until ``restart``."""
        return self._node.is_running

    @property
    def has_vote(self) -> bool:
        """As :attr:`chronik.Node.has_vote`."""
        return self._node.has_vote

    async def kill(self) -> None:
        """As :meth:`chronik.Node.kill`."""
        await asyncio.to_thread(self._node.kill)

    async def crash(self, unsynced: str = "drop") -> None:
        """As :meth:`chronik.Node.crash`."""
        await asyncio.to_thread(self._node.crash, unsynced)

    async def wipe(self) -> None:
        """As :meth:`chronik.Node.wipe`."""
        await asyncio.to_thread(self._node.wipe)

    async def readmit(self) -> None:
        """As :meth:`chronik.Node.readmit`."""
        await asyncio.to_thread(self._node.readmit)

    async def restart(self) -> None:
        """As :meth:`chronik.Node.restart`."""
        await asyncio.to_thread(self._node.restart)

    async def freeze(self) -> None:
        """As :meth:`chronik.Node.freeze`."""
        await asyncio.to_thread(self._node.freeze)

    async def thaw(self) -> None:
        """As :meth:`chronik.Node.thaw`."""
        await asyncio.to_thread(self._node.thaw)

    async def stats(self) -> dict[str, int]:
        """As :meth:`chronik.Node.stats`."""
        return await asyncio.to_thread(self._node.stats)

    async def logs(self) -> list[LogLine]:
        """As :meth:`chronik.Node.logs`."""
        return await asyncio.to_thread(self._node.logs)

    def __eq__(self, other: object) -> bool:
        return self._node == other._node if isinstance(other, AsyncNode) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._node)

    def __repr__(self) -> str:
        return repr(self._node).replace("<chronik.Node", "<chronik.AsyncNode")


def _plain(node: AsyncNode | int) -> Node | int:
    return node._node if isinstance(node, AsyncNode) else node


class AsyncRecording:
    """What ``AsyncCluster.history`` gives; see :meth:`chronik.Cluster.history`."""

    def __init__(self, recording: ClusterRecording) -> None:
        """Made by the cluster."""
        self.history = recording

    async def __aenter__(self) -> AsyncRecording:
        await asyncio.to_thread(self.history.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.history.__exit__, kind, error, traceback)

    async def wait_for_writes(self, more: int, timeout: float = 30.0) -> None:
        """Returns when that many more writes were acknowledged."""
        await asyncio.to_thread(self.history.wait_for_writes, more, timeout)

    async def wait_for_reads(
        self, more: int, nodes: Iterable[AsyncNode | int] | None = None, timeout: float = 30.0
    ) -> None:
        """Returns when each of these nodes, by default all, has served that many more reads."""
        plain = None if nodes is None else [_plain(node) for node in nodes]
        await asyncio.to_thread(self.history.wait_for_reads, more, plain, timeout)

    async def wait_for_refusals(self, more: int, node: AsyncNode | int, timeout: float = 30.0) -> None:
        """Returns when that node has refused that many more reads."""
        await asyncio.to_thread(self.history.wait_for_refusals, more, _plain(node), timeout)

    async def heal(self) -> None:
        """Ends every fault: frozen nodes go on, links recover, nodes that are down start again."""
        await asyncio.to_thread(self.history.heal)

    async def check(self, *, raise_on_anomaly: bool = True) -> Verdict:
        """As :meth:`chronik.testing.History.check`."""
        return await asyncio.to_thread(self.history.check, raise_on_anomaly=raise_on_anomaly)


class AsyncInterception:
    """An interception; see :class:`chronik.Interception`: ``async with await cluster.intercept(...) as it: ...``."""

    def __init__(self, interception: Interception) -> None:
        """Made by the cluster."""
        self._interception = interception

    @property
    def count(self) -> int:
        """How many requests it has struck so far."""
        return self._interception.count

    @property
    def is_active(self) -> bool:
        """True until it is removed or has struck ``times`` requests."""
        return self._interception.is_active

    async def wait(self, count: int = 1, timeout: float = 5.0) -> None:
        """As :meth:`chronik.Interception.wait`."""
        await asyncio.to_thread(self._interception.wait, count, timeout)

    async def remove(self) -> None:
        """As :meth:`chronik.Interception.remove`."""
        self._interception.remove()

    async def __aenter__(self) -> AsyncInterception:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._interception.remove()

    def __repr__(self) -> str:
        return repr(self._interception)


class AsyncCluster:
    """A cluster for asyncio programs: ``async with chronik.AsyncCluster(3) as cluster: ...``.

    Takes the options of :class:`chronik.Cluster`.
    """

    def __init__(self, nodes: int = 3, **options: Any) -> None:
        """Checks the options; starts nothing."""
        self._cluster = Cluster(nodes, **options)

    async def start(self) -> AsyncCluster:
        """Starts all nodes and returns the cluster itself."""
        await asyncio.to_thread(self._cluster.start)
        return self

    async def stop(self) -> None:
        """Stops all nodes; twice is fine."""
        await asyncio.to_thread(self._cluster.stop)

    async def __aenter__(self) -> AsyncCluster:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def is_running(self) -> bool:
        """True between ``start`` and ``stop``."""
        return self._cluster.is_running

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes."""
        return self._cluster.bootstrap_servers

    @property
    def nodes(self) -> list[AsyncNode]:
        """All nodes by id, stopped ones included."""
        return [AsyncNode(node) for node in self._cluster.nodes]

    async def node(self, id: int) -> AsyncNode:
        """The node with this id."""
        return AsyncNode(self._cluster.node(id))

    async def add_node(self, *, rack: str | None = None, port: int | None = None) -> AsyncNode:
        """As :meth:`chronik.Cluster.add_node`."""
        return AsyncNode(await asyncio.to_thread(self._cluster.add_node, rack=rack, port=port))

    async def remove_node(self, node: AsyncNode | int) -> None:
        """As :meth:`chronik.Cluster.remove_node`."""
        await asyncio.to_thread(self._cluster.remove_node, _plain(node))

    async def leader(self, topic: str, partition: int = 0) -> AsyncNode:
        """As :meth:`chronik.Cluster.leader`."""
        return AsyncNode(await asyncio.to_thread(self._cluster.leader, topic, partition))

    async def followers(self, topic: str, partition: int = 0) -> list[AsyncNode]:
        """As :meth:`chronik.Cluster.followers`."""
        return [AsyncNode(node) for node in await asyncio.to_thread(self._cluster.followers, topic, partition)]

    async def controller(self) -> AsyncNode:
        """As :meth:`chronik.Cluster.controller`."""
        return AsyncNode(await asyncio.to_thread(self._cluster.controller))

    async def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication_factor: int | None = None,
        config: Mapping[str, ConfigValue] | None = None,
    ) -> None:
        """As :meth:`chronik.Cluster.create_topic`."""
        await asyncio.to_thread(self._cluster.create_topic, name, partitions, replication_factor, config)

    async def delete_topic(self, name: str) -> None:
        """As :meth:`chronik.Cluster.delete_topic`."""
        await asyncio.to_thread(self._cluster.delete_topic, name)

    async def transfer_leader(self, topic: str, partition: int, node: AsyncNode | int) -> None:
        """As :meth:`chronik.Cluster.transfer_leader`."""
        await asyncio.to_thread(self._cluster.transfer_leader, topic, partition, _plain(node))

    async def intercept(
        self,
        *,
        api: str | int,
        topic: str | None = None,
        node: AsyncNode | int | None = None,
        error: str | int | None = None,
        delay: float = 0.0,
        times: int | None = None,
    ) -> AsyncInterception:
        """As :meth:`chronik.Cluster.intercept`."""
        plain = None if node is None else _plain(node)
        return AsyncInterception(
            self._cluster.intercept(api=api, topic=topic, node=plain, error=error, delay=delay, times=times)
        )

    async def snapshot(self) -> Snapshot:
        """As :meth:`chronik.Cluster.snapshot`."""
        return await asyncio.to_thread(self._cluster.snapshot)

    async def restore(self, snapshot: Snapshot) -> None:
        """As :meth:`chronik.Cluster.restore`."""
        await asyncio.to_thread(self._cluster.restore, snapshot)

    async def reset(self) -> None:
        """As :meth:`chronik.Cluster.reset`."""
        await asyncio.to_thread(self._cluster.reset)

    async def advance(self, seconds: float) -> None:
        """As :meth:`chronik.Cluster.advance`."""
        await asyncio.to_thread(self._cluster.advance, seconds)

    async def cut(self, a: AsyncNode | int, b: AsyncNode | int, one_way: bool = False) -> None:
        """As :meth:`chronik.Cluster.cut`."""
        await asyncio.to_thread(self._cluster.cut, _plain(a), _plain(b), one_way)

    async def isolate(self, node: AsyncNode | int) -> None:
        """As :meth:`chronik.Cluster.isolate`."""
        await asyncio.to_thread(self._cluster.isolate, _plain(node))

    async def delay(self, a: AsyncNode | int, b: AsyncNode | int, ms: int) -> None:
        """As :meth:`chronik.Cluster.delay`."""
        await asyncio.to_thread(self._cluster.delay, _plain(a), _plain(b), ms)

    async def drop(self, a: AsyncNode | int, b: AsyncNode | int, ratio: float) -> None:
        """As :meth:`chronik.Cluster.drop`."""
        await asyncio.to_thread(self._cluster.drop, _plain(a), _plain(b), ratio)

    async def recover(self) -> None:
        """As :meth:`chronik.Cluster.recover`."""
        await asyncio.to_thread(self._cluster.recover)

    async def power_cut(self) -> None:
        """As :meth:`chronik.Cluster.power_cut`."""
        await asyncio.to_thread(self._cluster.power_cut)

    async def wait_for(self, predicate: Callable[[], object | Awaitable[object]], timeout: float = 5) -> None:
        """Returns as soon as ``predicate()``, a function or a coroutine function, is true."""
        deadline = time.monotonic() + timeout
        for pause in pauses():
            outcome = predicate()
            if inspect.isawaitable(outcome):
                outcome = await outcome
            if outcome:
                return
            if time.monotonic() >= deadline:
                raise timed_out(predicate, timeout)
            await asyncio.sleep(pause)

    async def history(
        self, topic: str = "history", *, partitions: int = 1, writers: int = 1, seed: int = 0
    ) -> AsyncRecording:
        """As :meth:`chronik.Cluster.history`: ``async with await cluster.history() as history: ...``."""
        return AsyncRecording(
            await asyncio.to_thread(self._cluster.history, topic, partitions=partitions, writers=writers, seed=seed)
        )

    async def stats(self) -> dict[str, int]:
        """As :meth:`chronik.Cluster.stats`."""
        return await asyncio.to_thread(self._cluster.stats)

    async def logs(self) -> dict[int, list[LogLine]]:
        """As :meth:`chronik.Cluster.logs`."""
        return await asyncio.to_thread(self._cluster.logs)

    def __repr__(self) -> str:
        return repr(self._cluster).replace("<chronik.Cluster", "<chronik.AsyncCluster")
