"""The extension module: a thin skin over the Rust cluster. Use `chronik.Cluster`, not this."""

from typing import final

__all__ = [
    "Cluster",
    "Interception",
    "Snapshot",
    "__version__",
    "check_history",
    "log_lines_dropped",
    "next_log_lines",
    "run_server",
    "subscribe_logs",
    "unsubscribe_logs",
]

__version__: str

@final
class Snapshot:
    """What all nodes of a cluster held at one instant."""

@final
class Interception:
    """Requests of clients that are counted, delayed or refused."""

    def count(self) -> int:
        """How many requests it has struck."""

    def is_active(self) -> bool:
        """Whether it strikes the next request that it fits."""

    def remove(self) -> None:
        """Ends it; twice is fine."""

@final
class Cluster:
    """A running cluster. Every call is bounded in time and lets other Python threads run while it waits."""

    @staticmethod
    def start(
        *,
        nodes: int,
        racks: list[str] | None,
        ports: list[int] | None,
        host: str,
        data_dir: str | None,
        durability: str,
        transport: str,
        shards: int,
        config: dict[str, str],
        first_node_id: int,
        name: str | None,
        read_gate: bool,
    ) -> Cluster:
        """Starts the nodes; returns when every node's Metadata shows every node."""

    def stop(self) -> None:
        """Stops all nodes; twice is fine."""

    def stop_in_background(self) -> None:
        """Tells all nodes to end and does not wait for it: for finalisers."""

    def name(self) -> str:
        """The cluster's name."""

    def warnings(self) -> list[str]:
        """What was accepted at the start and has no effect."""

    def bootstrap_servers(self) -> str:
        """The addresses of all nodes, comma-separated."""

    def node_ids(self) -> list[int]:
        """The ids of all nodes."""

    def node(self, id: int) -> tuple[int, str, str, int, int, bool, bool]:
        """Id, rack, host, port, pinned port, whether it runs, and whether it votes."""

    def leaders(self) -> list[tuple[str, int, int | None]]:
        """Topic, partition and leader, as the cluster knows them now; does not wait."""

    def leader(self, topic: str, partition: int) -> int:
        """The leader's node id; waits for one, bounded."""

    def followers(self, topic: str, partition: int) -> list[int]:
        """The ids of the other replicas' nodes."""

    def controller(self) -> int:
        """The node that leads the metadata group; waits for one, bounded."""

    def create_topic(self, name: str, partitions: int, replication_factor: int | None, config: dict[str, str]) -> None:
        """Creates a topic; returns when every node knows every leader."""

    def delete_topic(self, name: str) -> None:
        """Deletes a topic; returns when no node shows it."""

    def snapshot(self) -> Snapshot:
        """Takes the state of all nodes."""

    def restore(self, snapshot: Snapshot) -> None:
        """Puts a state back that this cluster had."""

    def reset(self) -> None:
        """Puts the state back that the cluster had when it had started."""

    def advance(self, by_ms: int) -> None:
        """Puts the broker clock forward."""

    def intercept(
        self,
        api: str,
        topic: str | None,
        node: int | None,
        error: str | None,
        delay_ms: int,
        times: int | None,
    ) -> Interception:
        """Counts, delays or refuses requests of clients from now on."""

    def transfer_leader(self, topic: str, partition: int, to: int) -> None:
        """Moves leadership and waits until it is confirmed."""

    def cut(self, a: int, b: int, one_way: bool) -> None:
        """Cuts the link between two nodes, or only from a to b."""

    def isolate(self, node: int) -> None:
        """Cuts all links of a node."""

    def delay(self, a: int, b: int, ms: int) -> None:
        """Delays what passes between two nodes."""

    def drop_ratio(self, a: int, b: int, ratio: float) -> None:
        """Loses a share of the messages between two nodes."""

    def recover(self) -> None:
        """Heals all links."""

    def power_cut(self) -> None:
        """All nodes lose their unsynced bytes and start again."""

    def add_node(self, rack: str | None, port: int | None) -> int:
        """A new node joins; its id."""

    def remove_node(self, node: int) -> None:
        """A node leaves for good, its replicas first."""

    def readmit(self, node: int) -> None:
        """The disk a node runs on takes the place of the one it lost."""

    def kill(self, node: int) -> None:
        """Stops a node as `kill -9` would, unsynced bytes kept by the system."""

    def crash(self, node: int, unsynced: str) -> None:
        """Stops a node and drops, tears or keeps its unsynced bytes."""

    def wipe(self, node: int) -> None:
        """Takes a node's disk away, and stops the node if it runs."""

    def restart(self, node: int) -> None:
        """Starts a stopped node again on its address."""

    def freeze(self, node: int) -> None:
        """Pauses a node; its sockets stay open."""

    def thaw(self, node: int) -> None:
        """Lets a frozen node go on."""

    def node_stats(self, node: int) -> dict[str, int]:
        """The node's counters."""

    def node_logs(self, node: int) -> list[tuple[int, str, str, str]]:
        """Milliseconds since the epoch, level, target and text of the node's newest log lines."""

def subscribe_logs() -> None:
    """From here on log lines of all nodes of the process queue for `next_log_lines`, within a bound."""

def unsubscribe_logs() -> None:
    """Ends the queue; `next_log_lines` returns None once it is empty."""

def next_log_lines(timeout_ms: int) -> list[tuple[int, str, int | None, str, str, str]] | None:
    """Milliseconds, cluster, node, level, target and text of queued lines; empty at the timeout, None at the end."""

def log_lines_dropped() -> int:
    """Lines that found the queue full."""

def check_history(lines: bytes) -> tuple[int, dict[str, int], str]:
    """Judges a history of JSON lines: number of events, broken rules with how often, and the verdict in words."""

def run_server(args: list[str]) -> int:
    """Runs `chronik-server` with these arguments until it ends; the exit code."""
