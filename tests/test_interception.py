"""Requests that a test counts, delays or refuses: seen by a client, and nothing of them done by the brokers."""

from __future__ import annotations

import asyncio
import time

import pytest
from kafka import KafkaConsumer, KafkaProducer

import chronik
from support import values_at


def producer(cluster: chronik.Cluster, **options: object) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=cluster.bootstrap_servers, **options)


def test_a_refused_produce_is_sent_again_and_stored_once(chronik_cluster: chronik.Cluster, chronik_topic: str) -> None:
    """The client retries what it was told to retry, the proof that it met the error."""
    appended = chronik_cluster.stats()["batches_appended"]
    with chronik_cluster.intercept(
        api="Produce", topic=chronik_topic, error="NOT_LEADER_OR_FOLLOWER", times=2
    ) as refused:
        with_retries = producer(chronik_cluster, retries=10)
        with_retries.send(chronik_topic, b"v", partition=0).get(timeout=20)
        with_retries.close()
        assert refused.count == 2
        assert not refused.is_active
    assert values_at(chronik_cluster.bootstrap_servers, chronik_topic) == [b"v"]
    assert chronik_cluster.stats()["batches_appended"] == appended + 1


def test_what_is_refused_for_good_leaves_nothing(chronik_cluster: chronik.Cluster, chronik_topic: str) -> None:
    without_retries = producer(chronik_cluster, retries=0, enable_idempotence=False)
    with (
        chronik_cluster.intercept(api="produce", topic=chronik_topic, error=10) as refused,
        pytest.raises(Exception, match=r"(?i)message.*(size|large)"),
    ):
        without_retries.send(chronik_topic, b"refused", partition=0).get(timeout=10)
    assert refused.count == 1
    without_retries.send(chronik_topic, b"served", partition=0).get(timeout=10)
    without_retries.close()
    assert values_at(chronik_cluster.bootstrap_servers, chronik_topic) == [b"served"]


def test_a_delay_holds_back_one_node(chronik_cluster: chronik.Cluster, chronik_topic: str) -> None:
    chronik_cluster.create_topic(chronik_topic, partitions=1, replication_factor=3)
    leader = chronik_cluster.leader(chronik_topic)
    follower = chronik_cluster.followers(chronik_topic)[0]
    sender = producer(chronik_cluster)
    sender.send(chronik_topic, b"first", partition=0).get(timeout=10)
    with (
        chronik_cluster.intercept(api="Produce", node=follower, delay=600) as elsewhere,
        chronik_cluster.intercept(api="Produce", node=leader, delay=0.25, times=1) as held,
    ):
        began = time.monotonic()
        future = sender.send(chronik_topic, b"second", partition=0)
        held.wait(timeout=10)
        assert future.get(timeout=10).offset == 1
        # The client's own clock: no sooner than the delay.
        assert time.monotonic() - began >= 0.25
        assert (held.count, elsewhere.count) == (1, 0)
    sender.close()


def test_a_consumer_survives_refused_joins_and_fetches(chronik_cluster: chronik.Cluster, chronik_topic: str) -> None:
    sender = producer(chronik_cluster)
    sender.send(chronik_topic, b"v", partition=0).get(timeout=10)
    sender.close()
    with (
        chronik_cluster.intercept(api="JoinGroup", error="COORDINATOR_LOAD_IN_PROGRESS", times=2) as joins,
        chronik_cluster.intercept(api="Fetch", topic=chronik_topic, error="NOT_LEADER_OR_FOLLOWER", times=2) as fetches,
        chronik_cluster.intercept(api="OffsetCommit", topic=chronik_topic) as commits,
    ):
        consumer = KafkaConsumer(
            chronik_topic,
            bootstrap_servers=chronik_cluster.bootstrap_servers,
            group_id=f"of-{chronik_topic}",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        seen: list[bytes] = []
        deadline = time.monotonic() + 30
        while not seen and time.monotonic() < deadline:
            seen.extend(record.value for records in consumer.poll(timeout_ms=1000).values() for record in records)
        assert seen == [b"v"]
        consumer.commit()
        consumer.close()
        assert (joins.count, fetches.count, commits.count) == (2, 2, 1)


def test_it_outlives_a_restart_and_ends_with_a_reset() -> None:
    with chronik.Cluster(1) as cluster:
        counted = cluster.intercept(api="Metadata")
        cluster.node(1).kill()
        cluster.node(1).restart()
        producer(cluster).close()
        counted.wait(timeout=10)
        cluster.reset()
        assert not counted.is_active
        assert "over" in repr(counted)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"api": "Prodce"}, 'did you mean "Produce"'),
        ({"api": 9999}, 'api="9999" is unknown'),
        ({"api": "Produce", "error": "NOT_LEADER"}, 'error="NOT_LEADER" is unknown'),
        ({"api": "Produce", "error": 0}, "not 0"),
        ({"api": "Heartbeat", "topic": "t"}, "Heartbeat requests name no topic"),
        ({"api": "AlterUserScramCredentials"}, "not offered"),
        ({"api": "Produce", "times": 0}, "times=0"),
        ({"api": "Produce", "delay": 601}, "delay=601"),
        ({"api": "Produce", "node": 99}, "node=99"),
        ({"api": ""}, "api=''"),
    ],
)
def test_what_could_never_strike_is_refused(
    chronik_cluster: chronik.Cluster, options: dict[str, object], says: str
) -> None:
    with pytest.raises(chronik.InvalidValueError) as refused:
        chronik_cluster.intercept(**options)  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_the_asynchronous_twin() -> None:
    async def main() -> None:
        async with chronik.AsyncCluster(1) as cluster:
            async with await cluster.intercept(api="ApiVersions") as counted:
                sender = await asyncio.to_thread(KafkaProducer, bootstrap_servers=cluster.bootstrap_servers)
                await counted.wait(timeout=10)
                await asyncio.to_thread(sender.close)
            assert not counted.is_active

    asyncio.run(main())
