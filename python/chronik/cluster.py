"""A cluster of real brokers inside this process."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from . import _chronik, _lifetime, _logs, _options
from ._chronik import Snapshot
from ._interception import REQUESTS_MAX, Interception
from ._waiting import wait_for
from .errors import ChronikWarning, ClusterStateError, InvalidTypeError, InvalidValueError
from .node import LogLine, Node

if TYPE_CHECKING:
    from ._history import ClusterRecording

PARTITIONS_MAX = 100_000
REPLICATION_FACTOR_MAX = 64
DELAY_MS_MAX = 600_000
# Ten years: longer than anything a broker remembers.
ADVANCE_SECONDS_MAX = 10 * 365 * 86_400.0
HISTORY_WRITERS_MAX = 64
_REPR_LEADERS_MAX = 8


class Cluster:
    """Chronik nodes in this process, speaking the Kafka protocol on real ports.

    Use it as a context manager, or call ``start()`` and ``stop()``. When ``start`` returns every node's Metadata shows
    every node. All options but ``nodes`` are by keyword:

    - ``nodes``: how many; ids count from ``first_node_id``.
    - ``racks``: one name per node; default ``rack-1``, ``rack-2``, ...
    - ``ports``: one per node; default: the system chooses.
    - ``host``: where to listen; also what is advertised.
    - ``data_dir``: a path makes the data real files; default: memory, in which a crash still loses unsynced bytes.
    - ``durability``: ``"fsync"`` (an acknowledged record is synced on a majority) or ``"os"``.
    - ``transport``: ``"inproc"`` or ``"tcp"`` between the nodes.
    - ``shards``: threads over which partitions are spread.
    - ``config``: Kafka broker configuration by its Kafka names, and chronik's own, such as
      ``{"chronik.read.consistency": "local"}``.
    - ``name``: shown in logs.
    """

    # Of the class, so that a finaliser finds them even when the call of the constructor is refused.
    _engine: _chronik.Cluster | None = None
    _stopped_engine: _chronik.Cluster | None = None

    def __init__(
        self,
        nodes: int = 3,
        *,
        racks: Sequence[str] | None = None,
        ports: Sequence[int] | None = None,
        host: str = "127.0.0.1",
        data_dir: str | os.PathLike[str] | None = None,
        durability: str = "fsync",
        transport: str = "inproc",
        shards: int = 1,
        config: Mapping[str, _options.ConfigValue] | None = None,
        clock: str = "real",
        first_node_id: int = 1,
        name: str | None = None,
    ) -> None:
        """Checks the options; starts nothing."""
        self._options = _options.cluster_options(
            nodes=nodes,
            racks=racks,
            ports=ports,
            host=host,
            data_dir=data_dir,
            durability=durability,
            transport=transport,
            shards=shards,
            config_=config,
            clock=clock,
            first_node_id=first_node_id,
            name=name,
        )
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._nodes: dict[int, Node] = {}
        self._recordings: set[ClusterRecording] = set()

    # Life.

    def start(self) -> Cluster:
        """Starts all nodes and returns the cluster itself."""
        with self._lock:
            if self._engine is not None:
                raise ClusterStateError("the cluster runs already; stop it first or make a second one")
            _logs.acquire()
            try:
                engine = _chronik.Cluster.start(**self._options._asdict())
            except BaseException:
                _logs.release()
                raise
            self._pid = os.getpid()
            self._engine = engine
            self._nodes = {id: Node(self, *engine.node(id)[:5]) for id in engine.node_ids()}
            _lifetime.register(self)
        for text in engine.warnings():
            warnings.warn(text, ChronikWarning, stacklevel=2)
        if not self._options.read_gate:
            text = f"{_options.GATE_SWITCH}=off: reads may be stale or falsely empty; only for tests of tests"
            warnings.warn(text, ChronikWarning, stacklevel=2)
        return self

    def stop(self) -> None:
        """Stops all nodes and leaves no thread, port or temporary file behind; twice is fine."""
        if self._engine is None:
            return
        # Before the lock: in the child of a fork nobody may be left to release it.
        _lifetime.check_process(self._pid)
        with self._lock:
            engine = self._engine
            if engine is None:
                return
            try:
                engine.stop()
            finally:
                self._engine, self._stopped_engine = None, engine
                _lifetime.unregister(self)
                _logs.release()

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A child that falls out of the block after a fork has nothing to stop: the cluster is its parent's.
        if os.getpid() == self._pid:
            self.stop()

    def __del__(self) -> None:
        engine = self._engine
        if engine is None or os.getpid() != self._pid:
            return
        self._engine = None
        engine.stop_in_background()
        _logs.abandon()
        warnings.warn(
            f"a chronik cluster at {engine.bootstrap_servers()} was dropped without stop()",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )

    # Who is who.

    @property
    def is_running(self) -> bool:
        """True between ``start`` and ``stop``."""
        return self._engine is not None

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes, ``host:port,host:port``."""
        return self._running_engine().bootstrap_servers()

    @property
    def nodes(self) -> list[Node]:
        """All nodes by id, stopped ones included."""
        self._running_engine()
        return list(self._nodes.values())

    def node(self, id: int) -> Node:
        """The node with this id."""
        return self._nodes[self._node_id("id", id)]

    def add_node(self, *, rack: str | None = None, port: int | None = None) -> Node:
        """A new node joins the running cluster, with an id that no other had.

        When it returns the node votes in the metadata group and accepts clients. It holds no replica until a topic is
        created there or replicas are moved to it (``alter_partition_reassignments`` of an admin client).
        """
        id = self._disturb("joining of a node").add_node(rack, port)
        node = Node(self, *self._running_engine().node(id)[:5])
        self._nodes[id] = node
        return node

    def remove_node(self, node: Node | int) -> None:
        """Takes a node out of the cluster for good; when it returns the node is gone and its replicas are elsewhere.

        Clients go on meanwhile. Where no other node is left for a replica the partition has one replica less.
        """
        id = self._node_id("node", node)
        self._disturb(f"removal of node {id}").remove_node(id)
        del self._nodes[id]

    def leader(self, topic: str, partition: int = 0) -> Node:
        """The node that leads the partition; waits for an election under way."""
        engine = self._running_engine()
        return self._nodes[engine.leader(_options.text("topic", topic), _partition(partition))]

    def followers(self, topic: str, partition: int = 0) -> list[Node]:
        """The nodes with the other replicas, stopped ones included."""
        engine = self._running_engine()
        ids = engine.followers(_options.text("topic", topic), _partition(partition))
        return [self._nodes[id] for id in ids]

    def controller(self) -> Node:
        """The node that leads the metadata group; waits for an election under way."""
        return self._nodes[self._running_engine().controller()]

    # Topics.

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication_factor: int | None = None,
        config: Mapping[str, _options.ConfigValue] | None = None,
    ) -> None:
        """Creates a topic; when it returns every node knows every leader. The default factor is min(3, nodes)."""
        engine = self._running_engine()
        _options.integer("partitions", partitions, 1, PARTITIONS_MAX)
        if replication_factor is not None:
            _options.integer("replication_factor", replication_factor, 1, REPLICATION_FACTOR_MAX)
        engine.create_topic(
            _options.text("name", name), partitions, replication_factor, _options.config("config", config)
        )

    def delete_topic(self, name: str) -> None:
        """Deletes a topic and its data."""
        self._running_engine().delete_topic(_options.text("name", name))

    def transfer_leader(self, topic: str, partition: int, node: Node | int) -> None:
        """Moves a partition's leadership to a node and waits until it leads."""
        to = self._node_id("node", node)
        engine = self._disturb(f"transfer of {topic}/{partition} to node {to}")
        engine.transfer_leader(_options.text("topic", topic), _partition(partition), to)

    def advance(self, seconds: float) -> None:
        """Puts the broker clock of all nodes forward, without waiting.

        Sessions of group members, transactions and records are that much older at once: sessions that are over end,
        transactions that are over are aborted, and retention drops what is too old. Elections, the time-outs of
        requests and the clients' own clocks are not touched. The clock never goes back.
        """
        checked = _options.number("seconds", seconds, 0.0, ADVANCE_SECONDS_MAX)
        self._running_engine().advance(round(checked * 1000))

    # Requests of clients.

    def intercept(
        self,
        *,
        api: str | int,
        topic: str | None = None,
        node: Node | int | None = None,
        error: str | int | None = None,
        delay: float = 0.0,
        times: int | None = None,
    ) -> Interception:
        """Counts, delays or refuses requests of clients before they are served.

            with cluster.intercept(api="Produce", topic="orders", error="NOT_LEADER_OR_FOLLOWER", times=2) as refused:
                producer.send("orders", b"v").get()
            assert refused.count == 2

        - ``api``: Kafka's name of the request (``"Produce"``, ``"JoinGroup"``, case does not matter) or its number.
        - ``topic``: only requests that concern it. Produce, Fetch and Metadata are refused for this topic alone; any
          other request that names it is refused as a whole. Without ``topic`` all requests of the API are meant.
        - ``node``: only requests to this node.
        - ``error``: what they are answered with, by Kafka's name or number, and nothing of them is done. Without it
          they are served.
        - ``delay``: seconds each of them waits first, up to 600; what follows on its connection waits behind it.
        - ``times``: how many requests; without it all until ``remove()`` or the end of the ``with`` block.

        Without ``error`` and ``delay`` it only counts. Of several that fit a request each counts it, their delays add
        up, and the oldest error is the answer. What nodes say to each other is never touched. Restarts do not end it;
        ``reset()`` does. InvalidValueError says which names are unknown.
        """
        engine = self._running_engine()
        checked = _options.number("delay", delay, 0.0, DELAY_MS_MAX / 1000)
        if times is not None:
            _options.integer("times", times, 1, REQUESTS_MAX)
        name = _options.name_or_number("api", api)
        intercepted = engine.intercept(
            name,
            None if topic is None else _options.text("topic", topic),
            None if node is None else self._node_id("node", node),
            None if error is None else _options.name_or_number("error", error),
            round(checked * 1000),
            times,
        )
        return Interception(intercepted, name if topic is None else f"{name} of {topic}")

    # The state as a whole.

    def snapshot(self) -> Snapshot:
        """Takes the state of the whole cluster: topics, records, groups, transactions, configuration.

        All nodes stand still for the moment it takes. Only of a cluster in memory (``data_dir=None``).
        """
        return self._running_engine().snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Puts a state back that this cluster had, and starts the nodes that ran then.

        Connections break, as at a restart, and clients connect again. Links keep their faults, and the broker clock
        does not go back.
        """
        if not isinstance(snapshot, Snapshot):
            raise InvalidTypeError(f"snapshot={snapshot!r} is not a Snapshot; allowed is what snapshot() returned")
        self._disturb("restore of a snapshot").restore(snapshot)

    def reset(self) -> None:
        """Puts the cluster back to how it was when it had started: nothing is left of earlier tests.

        Interceptions end. Links keep their faults, and the broker clock does not go back.
        """
        self._disturb("reset").reset()

    # Faults of links.

    def cut(self, a: Node | int, b: Node | int, one_way: bool = False) -> None:
        """Cuts the link between two nodes; with ``one_way`` only what goes from ``a`` to ``b``. Clients reach both."""
        first, second = self._node_id("a", a), self._node_id("b", b)
        how = "from node {} to node {}" if one_way else "between nodes {} and {}"
        self._disturb(f"cut {how.format(first, second)}").cut(first, second, bool(one_way))

    def isolate(self, node: Node | int) -> None:
        """Cuts all links of a node to other nodes. Clients still reach it."""
        id = self._node_id("node", node)
        self._disturb(f"isolation of node {id}").isolate(id)

    def delay(self, a: Node | int, b: Node | int, ms: int) -> None:
        """Delays every message between two nodes by ``ms`` milliseconds; 0 ends it."""
        checked = _options.integer("ms", ms, 0, DELAY_MS_MAX)
        first, second = self._node_id("a", a), self._node_id("b", b)
        self._disturb(f"delay of {checked} ms between nodes {first} and {second}").delay(first, second, checked)

    def drop(self, a: Node | int, b: Node | int, ratio: float) -> None:
        """Loses the share ``ratio`` (0 to 1) of the messages between two nodes; 0 ends it."""
        checked = _options.number("ratio", ratio, 0.0, 1.0)
        first, second = self._node_id("a", a), self._node_id("b", b)
        self._disturb(f"loss of {checked} between nodes {first} and {second}").drop_ratio(first, second, checked)

    def recover(self) -> None:
        """Heals all links: cuts, delays and losses end."""
        self._disturb("recovery of all links").recover()

    def power_cut(self) -> None:
        """All nodes stop at once, lose every byte that was not synced, and start again."""
        self._disturb("power cut of all nodes").power_cut()

    # Looking and waiting.

    def wait_for(self, predicate: Callable[[], object], timeout: float = 5) -> None:
        """Returns as soon as ``predicate()`` is true; ClusterTimeoutError after ``timeout`` seconds."""
        wait_for(predicate, timeout)

    def history(
        self, topic: str = "history", *, partitions: int = 1, writers: int = 1, seed: int = 0
    ) -> ClusterRecording:
        """Clients that write and read at every replica while you make faults, and a record of all they are told.

            with cluster.history() as history:
                cluster.leader("history").crash()
                history.wait_for_writes(100)
            history.check()

        Leaving the block heals the cluster, waits until nothing is pending, and reads every replica to its end. A
        topic that does not exist is created with so many ``partitions``. ``writers`` idempotent producers, and as many
        plain ones, write unique values; nobody else may write to the topic meanwhile.
        """
        from ._history import ClusterRecording

        self._running_engine()
        _options.integer("partitions", partitions, 1, PARTITIONS_MAX)
        _options.integer("writers", writers, 1, HISTORY_WRITERS_MAX)
        return ClusterRecording(self, _options.text("topic", topic), partitions=partitions, writers=writers, seed=seed)

    def stats(self) -> dict[str, int]:
        """The counters of all running nodes, added up by name."""
        engine = self._running_engine()
        total: dict[str, int] = {}
        for id in self._nodes:
            for name, count in engine.node_stats(id).items():
                total[name] = total.get(name, 0) + count
        return total

    def logs(self) -> dict[int, list[LogLine]]:
        """The newest log lines of every node, by node id; also after ``stop``."""
        return {id: node.logs() for id, node in self._nodes.items()}

    def __repr__(self) -> str:
        name = f" {self._options.name!r}" if self._options.name else ""
        engine = self._engine
        if engine is None or os.getpid() != self._pid:
            return f"<chronik.Cluster{name} of {self._options.nodes} nodes, not running>"
        # Those of the cluster itself say nothing about a test.
        leaders = [leader for leader in engine.leaders() if not leader[0].startswith("__")]
        shown = [f"{topic}/{part}->{leader or '?'}" for topic, part, leader in leaders[:_REPR_LEADERS_MAX]]
        more = [f"and {len(leaders) - len(shown)} more"] if len(leaders) > len(shown) else []
        leading = f", leaders {', '.join(shown + more)}" if shown else ""
        nodes = ", ".join(f"{id}={node.bootstrap_servers}" for id, node in self._nodes.items())
        return f"<chronik.Cluster{name} of {len(self._nodes)} nodes at {nodes}{leading}>"

    # Inside.

    def _running_engine(self) -> _chronik.Cluster:
        engine = self._engine
        if engine is None:
            raise ClusterStateError("the cluster is not running; call start() or use it in a with block")
        return engine

    def _disturb(self, what: str) -> _chronik.Cluster:
        """The engine, to do something that histories under way are to tell of."""
        engine = self._running_engine()
        for recording in list(self._recordings):
            with recording.fault(what):
                pass
        return engine

    def _any_engine(self) -> _chronik.Cluster:
        engine = self._engine or self._stopped_engine
        if engine is None:
            raise ClusterStateError("the cluster was never started; call start() or use it in a with block")
        return engine

    def _is_node_running(self, id: int) -> bool:
        engine = self._engine
        return engine is not None and engine.node(id)[5]

    def _has_node_vote(self, id: int) -> bool:
        engine = self._engine
        return engine is not None and engine.node(id)[6]

    def _node_id(self, argument: str, value: Node | int) -> int:
        self._running_engine()
        ids = ", ".join(str(id) for id in self._nodes)
        if isinstance(value, Node):
            if value._cluster is not self:
                raise InvalidValueError(f"{argument}={value!r} is a node of another cluster; allowed is {ids}")
            return value.id
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidTypeError(f"{argument}={value!r} is neither a Node nor a node id; allowed is {ids}")
        if value not in self._nodes:
            raise InvalidValueError(f"{argument}={value!r} is not a node of this cluster; allowed is {ids}")
        return value


def _partition(value: int) -> int:
    return _options.integer("partition", value, 0, PARTITIONS_MAX)
