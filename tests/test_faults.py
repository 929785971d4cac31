"""What faults may cost: nothing acknowledged, nothing twice, no disorder (P1, P5, P6), and little time (P10)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from kafka import KafkaProducer

import chronik
from chronik.testing import Connection, encode_batch, wait_for
from idempotent import IdempotentSends
from support import Replicas, read_with_kafka_python

ROUNDS = 6
RECORDS_PER_ROUND = 40
LEADER_KILL_SECONDS = 0.5


def disturb_while_producing(cluster: chronik.Cluster, topic: str, disturb: Callable[[int], None]) -> list[bytes]:
    with IdempotentSends(cluster.bootstrap_servers, topic) as sends:
        for number in range(ROUNDS):
            goal = len(sends.acknowledged()) + RECORDS_PER_ROUND
            disturb(number)
            cluster.wait_for(lambda goal=goal: len(sends.acknowledged()) >= goal, 30)
        return sends.finish()


def assert_log_is(cluster: chronik.Cluster, topic: str, expected: list[bytes]) -> None:
    """Every replica holds exactly these values, in this order, at offsets without a gap."""
    for node in [cluster.leader(topic), *cluster.followers(topic)]:
        with Connection(node.bootstrap_servers, timeout=20) as connection:
            values: list[bytes | None] = []
            while len(values) < len(expected):
                answer = connection.fetch(topic, len(values), max_wait_ms=2000)
                assert answer.error_code == 0
                records = answer.records
                assert records, f"node {node.id} has {len(values)} of {len(expected)} records"
                assert [record.offset for record in records] == list(range(len(values), len(values) + len(records)))
                values += [record.value for record in records]
        assert values == expected


@pytest.mark.parametrize("unsynced", ["drop", "torn", "keep"])
def test_crashes_of_one_node_after_the_other_lose_nothing(chronik_cluster, topic, unsynced):
    def crash_and_restart(number: int) -> None:
        node = chronik_cluster.nodes[number % 3]
        node.crash(unsynced)
        node.restart()

    values = disturb_while_producing(chronik_cluster, topic, crash_and_restart)
    assert len(values) >= ROUNDS * RECORDS_PER_ROUND
    assert_log_is(chronik_cluster, topic, values)


def test_crashes_of_the_leader_lose_nothing(chronik_cluster, topic):
    down: list[chronik.Node] = []

    def crash_leader(_: int) -> None:
        for node in down:
            node.restart()
        down[:] = [chronik_cluster.leader(topic)]
        down[0].crash()

    values = disturb_while_producing(chronik_cluster, topic, crash_leader)
    down[0].restart()
    assert_log_is(chronik_cluster, topic, values)


def test_a_power_cut_of_all_nodes_loses_nothing_acknowledged(chronik_cluster, topic):
    values = disturb_while_producing(chronik_cluster, topic, lambda _: chronik_cluster.power_cut())
    assert_log_is(chronik_cluster, topic, values)


def test_power_cuts_with_files_lose_nothing_acknowledged(chronik_cluster_factory, tmp_path):
    cluster = chronik_cluster_factory(3, data_dir=tmp_path, transport="tcp")
    cluster.create_topic("files")
    values = disturb_while_producing(cluster, "files", lambda _: cluster.power_cut())
    assert_log_is(cluster, "files", values)


def test_data_in_files_survives_stop_and_start(tmp_path):
    with chronik.Cluster(3, data_dir=tmp_path) as cluster:
        cluster.create_topic("kept")
        with Connection(cluster.leader("kept").bootstrap_servers) as connection:
            assert connection.produce("kept", [b"a", b"b"]).error_code == 0
    with chronik.Cluster(3, data_dir=tmp_path) as cluster:
        assert_log_is(cluster, "kept", [b"a", b"b"])


def test_transfers_of_leadership_lose_nothing(chronik_cluster, topic):
    def transfer(number: int) -> None:
        chronik_cluster.transfer_leader(topic, 0, chronik_cluster.nodes[number % 3])

    values = disturb_while_producing(chronik_cluster, topic, transfer)
    assert_log_is(chronik_cluster, topic, values)


def test_isolated_leaders_lose_nothing(chronik_cluster, topic):
    def isolate(_: int) -> None:
        chronik_cluster.recover()
        leader = chronik_cluster.leader(topic)
        chronik_cluster.isolate(leader)

    values = disturb_while_producing(chronik_cluster, topic, isolate)
    chronik_cluster.recover()
    assert_log_is(chronik_cluster, topic, values)


def test_confluent_kafka_loses_nothing_while_leaders_crash(chronik_cluster, topic):
    failures, delivered = [], []

    def on_delivery(error: object, message: object) -> None:
        (failures if error else delivered).append(error or message.value())

    producer = Producer(
        {
            "bootstrap.servers": chronik_cluster.bootstrap_servers,
            "enable.idempotence": True,
            "retry.backoff.ms": 20,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "message.timeout.ms": 60_000,
        }
    )
    sent = []
    for number in range(ROUNDS):
        for at in range(RECORDS_PER_ROUND):
            sent.append(b"%d-%d" % (number, at))
            producer.produce(topic, sent[-1], partition=0, on_delivery=on_delivery)
        leader = chronik_cluster.leader(topic)
        leader.crash()
        chronik_cluster.wait_for(lambda: producer.poll(0.01) >= 0 and len(failures + delivered) == len(sent), 30)
        leader.restart()
    assert failures == []
    assert delivered == sent
    assert_log_is(chronik_cluster, topic, sent)


def test_a_repeated_batch_is_acknowledged_with_its_first_offset(chronik_cluster, topic, replicas: Replicas):
    connection = replicas.at(replicas.leader)
    identity = connection.init_producer_id()
    assert identity.error_code == 0

    def batch(sequence: int, value: bytes) -> bytes:
        return encode_batch(
            [value], producer_id=identity.producer_id, producer_epoch=identity.producer_epoch, base_sequence=sequence
        )

    assert connection.produce(topic, batch=batch(0, b"a")).base_offset == 0
    assert connection.produce(topic, batch=batch(1, b"b")).base_offset == 1
    repeated = connection.produce(topic, batch=batch(0, b"a"))
    assert (repeated.error_code, repeated.base_offset) == (0, 0)
    assert connection.produce(topic, batch=batch(5, b"gap")).error_code == 45
    assert connection.fetch(topic).values == [b"a", b"b"]

    # The new leader knows the producer from its own log.
    chronik_cluster.transfer_leader(topic, 0, replicas.followers[0])
    after = replicas.at(replicas.followers[0]).produce(topic, batch=batch(1, b"b"))
    assert (after.error_code, after.base_offset) == (0, 1)


def test_the_next_write_after_a_leaders_death_takes_at_most_half_a_second(chronik_cluster, topic):
    seconds = []
    for _ in range(ROUNDS):
        leader = chronik_cluster.leader(topic)
        leader.kill()
        seconds.append(seconds_until_written(chronik_cluster, topic))
        leader.restart()
        chronik_cluster.wait_for(lambda: all_in_sync(chronik_cluster, topic), 10)
    assert max(seconds) <= LEADER_KILL_SECONDS, seconds


def seconds_until_written(cluster: chronik.Cluster, topic: str) -> float:
    begun = time.monotonic()

    def is_written() -> bool:
        with Connection(cluster.leader(topic).bootstrap_servers, timeout=5) as connection:
            return connection.produce(topic, [b"next"]).error_code == 0

    wait_for(is_written, 10)
    return time.monotonic() - begun


def all_in_sync(cluster: chronik.Cluster, topic: str) -> bool:
    with Connection(cluster.leader(topic).bootstrap_servers) as connection:
        return len(connection.metadata([topic]).topics[0].partitions[0].in_sync) == 3


@pytest.mark.parametrize("fault", ["kill", "crash", "freeze", "isolate"])
def test_no_producer_notices_a_followers_fault(chronik_cluster, topic, fault):
    follower = chronik_cluster.followers(topic)[0]
    producer = KafkaProducer(bootstrap_servers=chronik_cluster.leader(topic).bootstrap_servers, retries=0)
    try:
        assert producer.send(topic, b"before").get(timeout=10).offset == 0
        if fault == "isolate":
            chronik_cluster.isolate(follower)
        else:
            getattr(follower, fault)()
        for number in range(20):
            assert producer.send(topic, b"during").get(timeout=10).offset == number + 1
    finally:
        producer.close()


def test_a_restarted_node_keeps_its_addresses_and_catches_up(chronik_cluster, topic):
    follower = chronik_cluster.followers(topic)[0]
    before = (follower.bootstrap_servers, follower.pinned_bootstrap_servers)
    follower.crash()
    assert not follower.is_running
    assert "not running" not in repr(follower)
    with Connection(chronik_cluster.leader(topic).bootstrap_servers) as connection:
        for number in range(20):
            assert connection.produce(topic, [b"%d" % number]).error_code == 0
    follower.restart()
    assert follower.is_running
    assert (follower.bootstrap_servers, follower.pinned_bootstrap_servers) == before
    values = read_with_kafka_python(follower.pinned_bootstrap_servers, topic, 20)
    assert values == [b"%d" % number for number in range(20)]


def test_a_node_that_lost_its_disk_catches_up_and_has_no_vote(chronik_cluster, topic):
    leader, (wiped, other) = chronik_cluster.leader(topic), chronik_cluster.followers(topic)
    with Connection(leader.bootstrap_servers) as connection:
        assert connection.produce(topic, [b"0", b"1"]).error_code == 0
    wiped.wipe()
    assert not wiped.is_running
    wiped.restart()
    assert (wiped.has_vote, other.has_vote) == (False, True)
    served = wiped.stats()["fetches_served_as_follower"]
    assert read_with_kafka_python(wiped.pinned_bootstrap_servers, topic, 2) == [b"0", b"1"]
    assert wiped.stats()["fetches_served_as_follower"] > served

    other.kill()
    with Connection(leader.bootstrap_servers, timeout=20) as connection:
        assert connection.produce(topic, [b"2"], timeout_ms=2000).error_code != 0, "one disk of three acknowledged"
    other.restart()
    chronik_cluster.wait_for(lambda: chronik_cluster.leader(topic) != wiped, 10)
    with Connection(chronik_cluster.leader(topic).bootstrap_servers, timeout=20) as connection:
        assert connection.produce(topic, [b"3"]).error_code == 0
    assert wiped.stats()["votes_refused_unknown_directory"] > 0


def test_without_a_majority_nothing_is_acknowledged_and_every_request_is_answered(chronik_cluster, topic):
    leader, followers = chronik_cluster.leader(topic), chronik_cluster.followers(topic)
    for follower in followers:
        follower.kill()
    begun = time.monotonic()
    with Connection(leader.bootstrap_servers, timeout=20) as connection:
        assert connection.produce(topic, [b"lost"], timeout_ms=500).error_code in {5, 6, 7, 19}
        assert connection.fetch(topic, max_wait_ms=250).error_code in {5, 6, 78}
    assert time.monotonic() - begun < 10


def test_too_few_in_sync_replicas_refuse_before_the_append(chronik_cluster, chronik_topic):
    chronik_cluster.create_topic(chronik_topic, config={"min.insync.replicas": 3})
    follower = chronik_cluster.followers(chronik_topic)[0]
    follower.kill()
    leader = chronik_cluster.leader(chronik_topic)
    with Connection(leader.bootstrap_servers, timeout=40) as connection:

        def is_refused() -> bool:
            return connection.produce(chronik_topic, [b"x"], timeout_ms=1000).error_code in {19, 20}

        wait_for(is_refused, 40)
