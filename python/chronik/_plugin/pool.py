"""The clusters of one pytest session (of one worker under xdist): lent to a test, cleaned, lent again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from .._kafka import Connection
from .._waiting import wait_for
from ..cluster import Cluster
from ..errors import ChronikError

CLUSTERS_MAX: Final = 4
RECOVERY_SECONDS: Final = 3.0


class Pool:
    """One running cluster per set of options, the least recently used stopped beyond ``CLUSTERS_MAX``."""

    def __init__(self) -> None:
        self._idle: OrderedDict[str, Cluster] = OrderedDict()

    def lend(self, options: Mapping[str, Any]) -> Cluster:
        """A running cluster without topics."""
        idle = self._idle.pop(_key(options), None)
        return Cluster(**options).start() if idle is None else idle

    def give_back(self, cluster: Cluster, options: Mapping[str, Any]) -> None:
        """Cleans the cluster for the next test; one that cannot be cleaned is stopped."""
        if not cluster.is_running:
            return
        if _key(options) in self._idle or not _is_clean(cluster):
            cluster.stop()
            return
        self._idle[_key(options)] = cluster
        while len(self._idle) > CLUSTERS_MAX:
            self._idle.popitem(last=False)[1].stop()

    def close(self) -> None:
        """Stops all clusters."""
        while self._idle:
            self._idle.popitem()[1].stop()


def _key(options: Mapping[str, Any]) -> str:
    return repr(sorted(options.items()))


def _is_clean(cluster: Cluster) -> bool:
    """Heals links and deletes topics. False where a node or its disk was lost: a new cluster costs milliseconds."""
    if not all(node.is_running and node.has_vote for node in cluster.nodes):
        return False
    try:
        for node in cluster.nodes:
            node.thaw()
        cluster.recover()
        addresses = [node.bootstrap_servers for node in cluster.nodes]
        # Nodes that were cut off or frozen are no longer listed by the others: they must be back first.
        wait_for(lambda: all(_sees_all(address, len(addresses)) for address in addresses), RECOVERY_SECONDS)
        for topic in topics_of(addresses[0]):
            cluster.delete_topic(topic)
    except ChronikError:
        return False
    return True


def _sees_all(address: str, nodes: int) -> bool:
    with Connection(address) as connection:
        return len(connection.metadata([]).brokers) == nodes


def topics_of(address: str) -> list[str]:
    """The topics a node lists, internal ones left out."""
    with Connection(address) as connection:
        topics = connection.metadata().topics
    return [topic.name for topic in topics if not topic.is_internal and not topic.name.startswith("__")]
