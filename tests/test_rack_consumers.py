"""Consumers that read from the follower in their rack (KIP-392), with each client's defaults, while nodes fail.

No gap, no duplicate, and progress within five seconds: a dead or cut-off follower leaves Metadata and is no longer
hinted at, which is what the least forgiving clients need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as AioTopicPartition
from confluent_kafka import Consumer as ConfluentConsumer
from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as ConfluentTopicPartition
from kafka import KafkaConsumer, TopicPartition

import chronik
from chronik.testing import Connection, fetch_at, wait_for
from support import RETRIABLE, Rises

PROGRESS_SECONDS = 5.0
Poll = Callable[[], list[bytes]]


@contextmanager
def kafka_python(cluster: chronik.Cluster, rack: str, topic: str, **options: Any) -> Generator[Poll]:
    consumer = KafkaConsumer(
        bootstrap_servers=cluster.bootstrap_servers, client_rack=rack, auto_offset_reset="earliest", **options
    )
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    try:
        yield lambda: [r.value for records in consumer.poll(timeout_ms=50).values() for r in records]
    finally:
        consumer.close()


@contextmanager
def confluent(cluster: chronik.Cluster, rack: str, topic: str) -> Generator[Poll]:
    consumer = ConfluentConsumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": "unused",
            "enable.auto.commit": False,
            "client.rack": rack,
        }
    )
    consumer.assign([ConfluentTopicPartition(topic, 0, 0)])
    try:
        yield lambda: [message.value() for message in consumer.consume(100, 0.05) if message.error() is None]
    finally:
        consumer.close()


@contextmanager
def aiokafka(cluster: chronik.Cluster, rack: str, topic: str) -> Generator[Poll]:
    loop = asyncio.new_event_loop()
    partition = AioTopicPartition(topic, 0)

    async def start() -> AIOKafkaConsumer:
        started = AIOKafkaConsumer(
            bootstrap_servers=cluster.bootstrap_servers, client_rack=rack, auto_offset_reset="earliest"
        )
        await started.start()
        started.assign([partition])
        started.seek(partition, 0)
        return started

    consumer = loop.run_until_complete(start())

    def poll() -> list[bytes]:
        polled = loop.run_until_complete(consumer.getmany(timeout_ms=50))
        return [record.value for records in polled.values() for record in records]

    try:
        yield poll
    finally:
        loop.run_until_complete(consumer.stop())
        loop.close()


def write(cluster: chronik.Cluster, topic: str, values: list[bytes]) -> None:
    for value in values:

        def is_written(value: bytes = value) -> bool:
            with Connection(cluster.leader(topic).bootstrap_servers, timeout=5) as connection:
                return connection.produce(topic, [value]).error_code == 0

        wait_for(is_written, 10)


def assert_reads_on(cluster: chronik.Cluster, topic: str, poll: Poll, fault: Callable[[], None]) -> None:
    follower = cluster.followers(topic)[0]
    rises = Rises([follower])
    before = [b"before-%d" % number for number in range(10)]
    after = [b"after-%d" % number for number in range(10)]
    values: list[bytes] = []

    def has_read(count: int) -> bool:
        values.extend(poll())
        return len(values) >= count

    write(cluster, topic, before)
    wait_for(lambda: has_read(len(before)), 15)
    assert rises.of(follower, "fetches_served_as_follower") > 0
    fault()
    write(cluster, topic, after)
    wait_for(lambda: has_read(len(before + after)), PROGRESS_SECONDS, "progress after the fault")
    assert values == before + after


FAULTS = {
    "follower-killed": lambda cluster, leader, follower: follower.kill(),
    "follower-crashed": lambda cluster, leader, follower: follower.crash(),
    "follower-isolated": lambda cluster, leader, follower: cluster.isolate(follower),
    "follower-cut-from-leader": lambda cluster, leader, follower: cluster.cut(leader, follower),
    "leader-killed": lambda cluster, leader, follower: leader.kill(),
    "leader-isolated": lambda cluster, leader, follower: cluster.isolate(leader),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("client", [kafka_python, confluent, aiokafka], ids=lambda client: client.__name__)
def test_a_consumer_with_a_rack_reads_on_within_five_seconds(chronik_cluster, topic, client, fault):
    leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[0]
    with client(chronik_cluster, follower.rack, topic) as poll:
        assert_reads_on(chronik_cluster, topic, poll, lambda: FAULTS[fault](chronik_cluster, leader, follower))


def test_a_frozen_follower_costs_no_more_than_the_clients_request_timeout(chronik_cluster, topic):
    """Its sockets stay open, so only the client's own timeout tells it; ours is made short here."""
    follower = chronik_cluster.followers(topic)[0]
    with kafka_python(chronik_cluster, follower.rack, topic, request_timeout_ms=1500, fetch_max_wait_ms=200) as poll:
        assert_reads_on(chronik_cluster, topic, poll, follower.freeze)


@pytest.mark.parametrize("client", [kafka_python, confluent, aiokafka], ids=lambda client: client.__name__)
def test_a_restarted_follower_is_read_from_again(chronik_cluster, topic, client):
    follower = chronik_cluster.followers(topic)[0]
    follower.kill()
    follower.restart()
    rises = Rises([follower])
    with client(chronik_cluster, follower.rack, topic) as poll:
        write(chronik_cluster, topic, [b"again"])
        values: list[bytes] = []
        wait_for(lambda: values.extend(poll()) or values == [b"again"], 10)
    assert rises.of(follower, "fetches_served_as_follower") > 0


def test_a_follower_that_cannot_prove_the_end_sends_a_rack_aware_client_back_to_the_leader(chronik_cluster, topic):
    """Instead of an error, which would keep kafka-python there; the answer claims nothing about the end."""
    leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[0]
    write(chronik_cluster, topic, [b"a"])
    assert fetch_at(follower, topic, rack=follower.rack).values == [b"a"]
    chronik_cluster.cut(leader, follower)
    sent_back = fetch_at(follower, topic, 1, rack=follower.rack, wait_ms=250)
    assert (sent_back.error_code, sent_back.preferred_read_replica, sent_back.values) == (0, leader.id, [])
    watermarks = (sent_back.high_watermark, sent_back.last_stable_offset, sent_back.log_start_offset)
    assert watermarks == (-1, -1, -1)
    assert fetch_at(follower, topic, 1, wait_ms=250).error_code in RETRIABLE
    write(chronik_cluster, topic, [b"b"])
    assert fetch_at(leader, topic, 1, rack=follower.rack).values == [b"b"]


def test_librdkafka_sees_no_false_end_at_a_follower_that_is_cut_off(chronik_cluster, topic):
    leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[0]
    write(chronik_cluster, topic, [b"a"])
    consumer = ConfluentConsumer(
        {
            "bootstrap.servers": chronik_cluster.bootstrap_servers,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "client.rack": follower.rack,
        }
    )
    consumer.assign([ConfluentTopicPartition(topic, 0, 0)])
    seen: list[bytes | int] = []

    def has_seen(wanted: list[bytes | int]) -> bool:
        for message in consumer.consume(100, 0.05):
            seen.append(message.error().code() if message.error() else message.value())
        return seen == wanted

    end = KafkaError._PARTITION_EOF
    try:
        wait_for(lambda: has_seen([b"a", end]), 15)
        chronik_cluster.cut(leader, follower)
        write(chronik_cluster, topic, [b"b"])
        wait_for(lambda: has_seen([b"a", end, b"b", end]), 15)
    finally:
        consumer.close()
