"""The scenario chronik exists for, line by line, with the clients people have.

Three of three nodes up; the admin client creates a topic; the producer sends; a consumer reads it from a follower, and
the follower's counters prove it.
"""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

import chronik
from chronik.testing import Connection, fetch_at
from support import (
    Replicas,
    Rises,
    assert_follower_served,
    read_with_aiokafka,
    read_with_confluent,
    read_with_kafka_python,
    read_with_kafka_python_2_0,
    read_with_kafka_python_2_2,
    run_old_kafka_python,
)

VALUES = [b"one", b"two", b"three", b"four", b"five"]


def produce(cluster: chronik.Cluster, topic: str) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    try:
        offsets = [producer.send(topic, value).get(timeout=10).offset for value in VALUES]
    finally:
        producer.close()
    assert offsets == list(range(len(VALUES)))


def test_every_node_shows_every_node_when_start_returns(chronik_cluster_factory):
    cluster = chronik_cluster_factory(3)
    expected = {(node.id, node.host, node.port, node.rack) for node in cluster.nodes}
    for node in cluster.nodes:
        with Connection(node.bootstrap_servers) as connection:
            metadata = connection.metadata()
        assert {(b.node_id, b.host, b.port, b.rack) for b in metadata.brokers} == expected
        assert metadata.controller_id in cluster_ids(cluster)
        assert len(metadata.cluster_id) == 22


def cluster_ids(cluster: chronik.Cluster) -> set[int]:
    return {node.id for node in cluster.nodes}


def test_the_original_scenario_line_by_line(chronik_cluster: chronik.Cluster, chronik_topic: str):
    cluster = chronik_cluster
    assert [node.is_running for node in cluster.nodes] == [True, True, True]

    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    try:
        admin.create_topics([NewTopic(chronik_topic, num_partitions=1, replication_factor=3)])
    finally:
        admin.close()
    produce(cluster, chronik_topic)

    leader, follower = cluster.leader(chronik_topic), cluster.followers(chronik_topic)[0]
    rises = Rises(cluster.nodes)
    values = read_with_kafka_python(cluster.bootstrap_servers, chronik_topic, len(VALUES), client_rack=follower.rack)
    assert values == VALUES
    assert_follower_served(rises, leader, follower)
    assert rises.of(leader, "preferred_replica_hints") > 0


@pytest.mark.parametrize(
    ("read", "rack_option"),
    [
        (read_with_kafka_python, "client_rack"),
        (read_with_aiokafka, "client_rack"),
        (read_with_confluent, "client.rack"),
    ],
    ids=["kafka-python-3", "aiokafka", "confluent-kafka"],
)
def test_a_client_with_the_followers_rack_reads_from_it(chronik_cluster, topic, read, rack_option):
    produce(chronik_cluster, topic)
    leader = chronik_cluster.leader(topic)
    for follower in chronik_cluster.followers(topic):
        rises = Rises(chronik_cluster.nodes)
        values = read(chronik_cluster.bootstrap_servers, topic, len(VALUES), **{rack_option: follower.rack})
        assert values == VALUES
        assert_follower_served(rises, leader, follower)


@pytest.mark.parametrize(
    "read",
    [
        read_with_kafka_python,
        read_with_kafka_python_2_0,
        read_with_kafka_python_2_2,
        read_with_aiokafka,
        read_with_confluent,
    ],
    ids=["kafka-python-3", "kafka-python-2.0", "kafka-python-2.2", "aiokafka", "confluent-kafka"],
)
def test_any_client_at_the_pinned_address_reads_from_that_node(chronik_cluster, topic, read):
    produce(chronik_cluster, topic)
    leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[1]
    rises = Rises(chronik_cluster.nodes)
    assert read(follower.pinned_bootstrap_servers, topic, len(VALUES)) == VALUES
    assert_follower_served(rises, leader, follower)


def test_a_raw_fetch_at_each_follower_returns_records_and_watermarks(chronik_cluster, topic):
    produce(chronik_cluster, topic)
    leader = chronik_cluster.leader(topic)
    for follower in chronik_cluster.followers(topic):
        rises = Rises(chronik_cluster.nodes)
        answer = fetch_at(follower, topic, 0)
        assert (answer.error_code, answer.preferred_read_replica) == (0, -1)
        assert (answer.high_watermark, answer.last_stable_offset, answer.log_start_offset) == (5, 5, 0)
        assert answer.values == VALUES
        assert_follower_served(rises, leader, follower)


def test_a_consumer_merely_bootstrapped_at_a_follower_reads_from_the_leader(chronik_cluster, topic):
    """The control: without rack and pinned address nothing proves a follower read, and none happens."""
    produce(chronik_cluster, topic)
    leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[0]
    rises = Rises(chronik_cluster.nodes)
    assert read_with_kafka_python(follower.bootstrap_servers, topic, len(VALUES)) == VALUES
    assert rises.of(follower, "fetches_served_as_follower") == 0
    assert rises.of(leader, "fetches_served_as_leader") > 0


@pytest.mark.parametrize("version", ["2.0.2", "2.2.21"])
def test_older_kafka_python_produces(chronik_cluster, topic, replicas: Replicas, version):
    offsets = run_old_kafka_python(version, "produce", chronik_cluster.bootstrap_servers, topic, "a", "b")
    assert offsets.split() == ["0", "1"]
    for node in replicas.nodes:
        assert replicas.at(node).fetch(topic).values == [b"a", b"b"]


def test_confluent_kafka_produces(chronik_cluster, topic, replicas: Replicas):
    errors = []
    producer = Producer({"bootstrap.servers": chronik_cluster.bootstrap_servers, "enable.idempotence": True})
    for value in VALUES:
        producer.produce(topic, value, partition=0, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(20) == 0
    assert errors == [None] * len(VALUES)
    for node in replicas.nodes:
        assert replicas.at(node).fetch(topic).values == VALUES


async def produce_with_aiokafka(address: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True)
    await producer.start()
    try:
        for value in VALUES:
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


def test_aiokafka_produces(chronik_cluster, topic, replicas: Replicas):
    import asyncio

    asyncio.run(produce_with_aiokafka(chronik_cluster.bootstrap_servers, topic))
    for node in replicas.nodes:
        assert replicas.at(node).fetch(topic).values == VALUES


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_come_back_from_a_follower(chronik_cluster, topic, codec):
    producer = KafkaProducer(bootstrap_servers=chronik_cluster.bootstrap_servers, compression_type=codec, linger_ms=20)
    values = [b"%d-" % number + b"x" * 500 for number in range(50)]
    futures = [producer.send(topic, value) for value in values]
    for future in futures:
        future.get(timeout=10)
    producer.close()
    follower = chronik_cluster.followers(topic)[0]
    for read in (read_with_kafka_python, read_with_aiokafka, read_with_confluent):
        assert read(follower.pinned_bootstrap_servers, topic, len(values)) == values
