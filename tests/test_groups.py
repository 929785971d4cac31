"""Groups: members share partitions, and what they commit outlives any one node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

import chronik
from chronik.testing import wait_for

GROUP = "readers"
SECONDS = 20.0


@pytest.fixture
def cluster(chronik_cluster_factory: Callable[..., chronik.Cluster]) -> chronik.Cluster:
    """A cluster whose nodes a test may kill."""
    return chronik_cluster_factory(3)


def send(cluster: chronik.Cluster, topic: str, values: list[bytes], partitions: int) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    for number, value in enumerate(values):
        producer.send(topic, value, partition=number % partitions)
    producer.flush()
    producer.close()


@contextmanager
def member(cluster: chronik.Cluster, *topics: str, **options: Any) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        *topics,
        bootstrap_servers=cluster.bootstrap_servers,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **options,
    )
    try:
        yield consumer
    finally:
        consumer.close()


def read(consumer: KafkaConsumer) -> list[bytes]:
    """One poll, long enough to join in: kafka-python 3.0.12 loses a join that ends between two polls."""
    return [record.value for records in consumer.poll(timeout_ms=1_000).values() for record in records]


def read_all(consumers: list[KafkaConsumer]) -> list[bytes]:
    """One poll of each at the same time: polled in turn, each can lose its join while the other polls, for ever."""
    with ThreadPoolExecutor(len(consumers)) as threads:
        return [value for values in threads.map(read, consumers) for value in values]


def read_until(consumers: list[KafkaConsumer], count: int) -> list[bytes]:
    """Polls until ``count`` records came."""
    values: list[bytes] = []

    def enough() -> bool:
        values.extend(read_all(consumers))
        return len(values) >= count

    wait_for(enough, timeout=SECONDS)
    return values


def committed(cluster: chronik.Cluster, topic: str, node: chronik.Node | None = None) -> int | None:
    servers = (node.pinned_bootstrap_servers if node else None) or cluster.bootstrap_servers
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=GROUP, enable_auto_commit=False)
    try:
        offset: int | None = consumer.committed(TopicPartition(topic, 0))
        return offset
    finally:
        consumer.close()


def test_members_share_the_partitions_and_a_rebalance_loses_nothing(cluster: chronik.Cluster) -> None:
    cluster.create_topic("t", partitions=4, replication_factor=3)
    values = [b"%d" % number for number in range(40)]
    send(cluster, "t", values[:20], 4)
    with member(cluster, "t") as first:
        seen = read_until([first], 20)
        first.commit()
        with member(cluster, "t") as second:

            def both_have_some() -> bool:
                seen.extend(read_all([first, second]))
                return len(first.assignment()) == 2 and len(second.assignment()) == 2

            wait_for(both_have_some, timeout=SECONDS)
            send(cluster, "t", values[20:], 4)
            seen.extend(read_until([first, second], 20))
            assert sorted(seen) == sorted(values)
            assert first.assignment().isdisjoint(second.assignment())


def test_commits_outlive_the_coordinator_and_are_the_same_at_every_node(cluster: chronik.Cluster) -> None:
    cluster.create_topic("t", partitions=1, replication_factor=3)
    send(cluster, "t", [b"v"] * 30, 1)
    place = TopicPartition("t", 0)
    with member(cluster) as consumer:
        consumer.assign([place])
        for offset in range(1, 11):
            consumer.commit({place: OffsetAndMetadata(offset, "", -1)})
            for node in cluster.nodes:
                assert committed(cluster, "t", node) == offset
    opened = {node.id: node.stats()["coordinators_opened"] for node in cluster.nodes}
    coordinator = max(cluster.nodes, key=lambda node: node.stats()["coordinator_batches"])
    assert coordinator.stats()["coordinator_batches"] >= 10
    coordinator.kill()
    assert committed(cluster, "t") == 10
    others = [node for node in cluster.nodes if node.id != coordinator.id]
    assert any(node.stats()["coordinators_opened"] > opened[node.id] for node in others), "another took over"


def test_a_session_ends_when_the_clock_is_put_forward(cluster: chronik.Cluster) -> None:
    cluster.create_topic("t", partitions=2, replication_factor=3)
    with member(cluster, "t", session_timeout_ms=60_000, heartbeat_interval_ms=10_000) as first:
        wait_for(lambda: read(first) == [] and len(first.assignment()) == 2, timeout=SECONDS)
        # It does not poll any more, and its heartbeat is seconds away: only the clock can take its partitions.
        with member(cluster, "t", session_timeout_ms=600_000) as second:
            cluster.advance(61)
            wait_for(lambda: read(second) == [] and len(second.assignment()) == 2, timeout=SECONDS)
