"""A pytest module to copy: requests, time and the state of the whole cluster under the control of a test.

Run it with ``pytest examples/test_control.py``; the fixtures come with the package.
"""

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

import chronik

SESSION_SECONDS = 30


@pytest.fixture(scope="module")
def state():
    """A cluster that is filled once, and the state that every test begins with."""
    with chronik.Cluster(3) as cluster:
        cluster.create_topic("orders", partitions=1, replication_factor=3)
        produce(cluster, b"first")
        yield cluster, cluster.snapshot()


@pytest.fixture
def cluster(state):
    cluster, snapshot = state
    yield cluster
    cluster.restore(snapshot)


def produce(cluster, value):
    failures = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce("orders", value, on_delivery=lambda error, _: failures.append(error))
    producer.flush(30)
    assert failures == [None]


def member(cluster):
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": "billing",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_SECONDS * 1000,
        }
    )
    consumer.subscribe(["orders"])
    return consumer


def read(consumer):
    message = consumer.poll(30)
    assert message is not None
    assert message.error() is None
    return message.value()


def test_a_producer_retries_what_it_is_told_to(cluster):
    with cluster.intercept(api="Produce", topic="orders", error="NOT_LEADER_OR_FOLLOWER", times=3) as refused:
        produce(cluster, b"second")
    assert refused.count == 3


def test_a_commit_that_fails_is_seen(cluster):
    consumer = member(cluster)
    assert read(consumer) == b"first"
    with (
        cluster.intercept(api="OffsetCommit", error="UNKNOWN_MEMBER_ID") as refused,
        pytest.raises(KafkaException, match="UNKNOWN_MEMBER_ID"),
    ):
        consumer.commit(asynchronous=False)
    assert refused.count == 1
    consumer.close()


def test_a_session_is_over_when_the_test_says_so(cluster):
    consumer = member(cluster)
    assert read(consumer) == b"first"
    cluster.advance(SESSION_SECONDS + 1)
    with pytest.raises(KafkaException):
        consumer.commit(asynchronous=False)
    consumer.close()
