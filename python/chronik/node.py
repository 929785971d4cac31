"""One node of a cluster: its addresses, its faults, its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import _options

if TYPE_CHECKING:
    from .cluster import Cluster

UNSYNCED = ("drop", "torn", "keep")


class LogLine(NamedTuple):
    """A line of a node's log."""

    at_ms: int
    """Milliseconds since the Unix epoch."""
    level: str
    """ERROR, WARN, INFO, DEBUG or TRACE."""
    target: str
    """The part of chronik that wrote it."""
    text: str

    def __str__(self) -> str:
        return f"{self.level} {self.target}: {self.text}"


class Node:
    """A node of a running cluster. Get one from ``cluster.node(id)``, ``cluster.leader(...)`` and the like.

    Nodes compare equal when they are the same node of the same cluster.
    """

    def __init__(self, cluster: Cluster, id: int, rack: str, host: str, port: int, pinned_port: int) -> None:
        """Made by the cluster."""
        self._cluster = cluster
        self._id = id
        self._rack = rack
        self._host = host
        self._port = port
        self._pinned_port = pinned_port

    @property
    def id(self) -> int:
        """The node id, as Metadata shows it."""
        return self._id

    @property
    def rack(self) -> str:
        """The rack; pass it as ``client_rack`` to make a consumer read from here."""
        return self._rack

    @property
    def host(self) -> str:
        """The host it listens on and advertises."""
        return self._host

    @property
    def port(self) -> int:
        """The Kafka port; a restart keeps it."""
        return self._port

    @property
    def bootstrap_servers(self) -> str:
        """This node's own address, ``host:port``. A consumer bootstrapped here still reads from the leader."""
        return f"{self._host}:{self._port}"

    @property
    def pinned_bootstrap_servers(self) -> str:
        """A second address: whatever a client does through it, reads are served by this node."""
        return f"{self._host}:{self._pinned_port}"

    @property
    def is_running(self) -> bool:
        """False after ``kill``, ``crash`` or ``wipe``, until ``restart``."""
        return self._cluster._is_node_running(self._id)

    @property
    def has_vote(self) -> bool:
        """Whether the node runs on a disk its cluster counts on; one whose disk was wiped follows until ``readmit``."""
        return self._cluster._has_node_vote(self._id)

    def kill(self) -> None:
        """Stops the node at once, as ``kill -9`` stops a process: bytes given to the system survive."""
        self._cluster._disturb(f"kill of node {self._id}").kill(self._id)

    def crash(self, unsynced: str = "drop") -> None:
        """Stops the node as a power failure would; ``unsynced`` bytes are dropped, torn in the middle or kept."""
        _options.choice("unsynced", unsynced, UNSYNCED)
        self._cluster._disturb(f"crash of node {self._id}, unsynced={unsynced}").crash(self._id, unsynced)

    def wipe(self) -> None:
        """Takes the node's disk away, and the node with it if it runs; ``restart`` starts it on an empty one.

        From then on, until ``readmit``, the node follows and serves reads without a vote: a cluster of three that lost
        a disk needs its two other nodes for every acknowledgement and election. A node that came with ``add_node``, or
        was readmitted before, hears nothing until ``readmit``, and clients wait at it.
        """
        self._cluster._disturb(f"wipe of node {self._id}").wipe(self._id)

    def readmit(self) -> None:
        """Gives a node that was wiped and restarted its votes back, as a new member of every group.

        When it returns it has caught up, and another node may be lost.
        """
        self._cluster._disturb(f"readmission of node {self._id}").readmit(self._id)

    def restart(self) -> None:
        """Starts a node that is down again, on the same addresses and what its disk holds."""
        self._cluster._disturb(f"restart of node {self._id}").restart(self._id)

    def freeze(self) -> None:
        """Pauses the node as SIGSTOP would: its connections stay open and get no answers."""
        self._cluster._disturb(f"freeze of node {self._id}").freeze(self._id)

    def thaw(self) -> None:
        """Lets a frozen node go on."""
        self._cluster._disturb(f"thaw of node {self._id}").thaw(self._id)

    def stats(self) -> dict[str, int]:
        """The node's counters since it started, such as ``fetches_served_as_follower`` and ``read_gate_rounds``."""
        return self._cluster._running_engine().node_stats(self._id)

    def logs(self) -> list[LogLine]:
        """The newest lines of the node's log, oldest first."""
        return [LogLine(*line) for line in self._cluster._any_engine().node_logs(self._id)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return self._cluster is other._cluster and self._id == other._id

    def __hash__(self) -> int:
        return hash((id(self._cluster), self._id))

    def __repr__(self) -> str:
        pinned = f"pinned {self.pinned_bootstrap_servers}"
        return f"<chronik.Node {self._id} at {self.bootstrap_servers}, {pinned}, {self._rack}>"
