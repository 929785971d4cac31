"""Any Kafka cluster behind the names of ``chronik.Cluster``, for ``--chronik-bootstrap HOST:PORT``.

What only an in-process cluster can do (faults, counters, pinned addresses) skips the test and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import pytest

from .. import _options
from .._kafka import Connection, MetadataResult
from .._kafka.messages import BrokerInfo
from .._waiting import wait_for
from ..errors import KafkaError, NotFoundError

_NODE_ONLY_HERE = (
    "pinned_bootstrap_servers", "has_vote", "kill", "crash", "wipe", "readmit", "restart", "freeze", "thaw",
    "stats", "logs",
)  # fmt: skip
_CLUSTER_ONLY_HERE = (
    "cut", "isolate", "delay", "drop", "recover", "power_cut", "transfer_leader", "add_node", "remove_node", "stats",
    "logs",
)  # fmt: skip


def _skip(name: str) -> NoReturn:
    pytest.skip(f"{name} needs chronik's in-process cluster; --chronik-bootstrap points at a foreign one")


class ExternalNode:
    """A broker of a foreign cluster."""

    is_running = True

    def __init__(self, broker: BrokerInfo) -> None:
        self.id = broker.node_id
        self.rack = broker.rack or ""
        self.host = broker.host
        self.port = broker.port
        self.bootstrap_servers = f"{broker.host}:{broker.port}"

    def __getattr__(self, name: str) -> Any:
        if name in _NODE_ONLY_HERE:
            _skip(f"Node.{name}")
        raise AttributeError(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExternalNode) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<broker {self.id} at {self.bootstrap_servers}>"


class ExternalCluster:
    """A foreign cluster; remembers the topics made through it and deletes those only."""

    is_running = True

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._made: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name in _CLUSTER_ONLY_HERE:
            _skip(f"Cluster.{name}")
        raise AttributeError(name)

    @property
    def nodes(self) -> list[ExternalNode]:
        """The brokers Metadata lists."""
        return [ExternalNode(broker) for broker in self._metadata([]).brokers]

    def node(self, id: int) -> ExternalNode:
        """The broker with this id."""
        for node in self.nodes:
            if node.id == id:
                return node
        raise NotFoundError(f"no broker {id} at {self.bootstrap_servers}")

    def controller(self) -> ExternalNode:
        """The controller Metadata names."""
        return self.node(self._metadata([]).controller_id)

    def leader(self, topic: str, partition: int = 0) -> ExternalNode:
        """The leader Metadata names."""
        return self.node(self._partition(topic, partition)[0])

    def followers(self, topic: str, partition: int = 0) -> list[ExternalNode]:
        """The other replicas Metadata names."""
        leader, replicas = self._partition(topic, partition)
        return [self.node(id) for id in replicas if id != leader]

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication_factor: int | None = None,
        config: Mapping[str, _options.ConfigValue] | None = None,
    ) -> None:
        """Creates a topic and waits until it has leaders."""
        self.will_delete(name)
        factor = min(3, len(self.nodes)) if replication_factor is None else replication_factor
        with Connection(self.controller().bootstrap_servers) as connection:
            connection.create_topic(name, partitions, factor, _options.config("config", config))
        wait_for(lambda: self._has_leaders(name, partitions), 30, f"leaders of topic {name}")

    def delete_topic(self, name: str) -> None:
        """Deletes a topic."""
        self._made.discard(name)
        with Connection(self.controller().bootstrap_servers) as connection:
            connection.delete_topic(name)

    def will_delete(self, name: str) -> None:
        """The topic may be made by the test and is to be deleted after it."""
        self._made.add(name)

    def delete_made(self) -> None:
        """Deletes the topics made through this object."""
        for name in sorted(self._made):
            try:
                self.delete_topic(name)
            except KafkaError as error:
                if error.code != 3:
                    raise

    def wait_for(self, predicate: Callable[[], object], timeout: float = 5) -> None:
        """As :meth:`chronik.Cluster.wait_for`."""
        wait_for(predicate, timeout)

    def __repr__(self) -> str:
        return f"<foreign Kafka cluster at {self.bootstrap_servers}>"

    def _metadata(self, topics: list[str]) -> MetadataResult:
        with Connection(self.bootstrap_servers) as connection:
            return connection.metadata(topics)

    def _partition(self, topic: str, partition: int) -> tuple[int, tuple[int, ...]]:
        for found in self._metadata([topic]).topics:
            for info in found.partitions:
                if info.index == partition and info.leader >= 0:
                    return info.leader, info.replicas
        raise NotFoundError(f"no leader of {topic}/{partition} at {self.bootstrap_servers}")

    def _has_leaders(self, topic: str, partitions: int) -> bool:
        found = self._metadata([topic]).topics[0].partitions
        return len(found) == partitions and all(info.leader >= 0 for info in found)
