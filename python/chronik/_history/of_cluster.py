"""A recording at a cluster of this process: it finds the addresses itself, and heals before the last reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._kafka import Connection, TopicInfo
from .recording import Recording

if TYPE_CHECKING:
    from ..cluster import Cluster

UNKNOWN_TOPIC = 3


class ClusterRecording(Recording):
    """What ``Cluster.history`` gives. Leaving the block ends every fault before it waits and reads."""

    def __init__(self, cluster: Cluster, topic: str, *, partitions: int, writers: int, seed: int) -> None:
        """Made by the cluster; creates the topic when there is none."""
        self._cluster = cluster
        super().__init__(
            {node.id: node.bootstrap_servers for node in cluster.nodes},
            topic,
            pinned={node.id: node.pinned_bootstrap_servers for node in cluster.nodes},
            partitions=self._partitions(cluster, topic, partitions),
            writers=writers,
            seed=seed,
        )

    def __enter__(self) -> ClusterRecording:
        self.start()
        return self

    def start(self) -> None:
        """Starts all clients; what is done to the cluster from here on is noted."""
        self._cluster._recordings.add(self)
        super().start()

    def finish(self) -> None:
        """Heals the cluster, waits until nothing is pending, and reads every partition at every node."""
        try:
            self.heal()
            super().finish()
        finally:
            self._cluster._recordings.discard(self)

    def abandon(self) -> None:
        """Stops the clients and does not care for what is pending."""
        self._cluster._recordings.discard(self)
        super().abandon()

    def heal(self) -> None:
        """Ends every fault: frozen nodes go on, links recover, nodes that are down start again."""
        with self.fault("every fault ends"):
            nodes = self._cluster.nodes
            for node in nodes:
                if node.is_running:
                    node.thaw()
            self._cluster.recover()
            for node in nodes:
                if not node.is_running:
                    node.restart()

    @staticmethod
    def _partitions(cluster: Cluster, topic: str, partitions: int) -> int:
        running = next(node for node in cluster.nodes if node.is_running)
        found: list[TopicInfo] = []

        def is_known() -> bool:
            with Connection(running.bootstrap_servers) as connection:
                found[:] = connection.metadata([topic]).topics
            return found[0].error_code in (0, UNKNOWN_TOPIC)

        cluster.wait_for(is_known)
        if found[0].error_code == 0:
            return len(found[0].partitions)
        cluster.create_topic(topic, partitions)
        return partitions
