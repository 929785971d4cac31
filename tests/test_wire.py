"""Mistakes on the wire that broke clients elsewhere: one test each."""

from __future__ import annotations

import struct
import time

import chronik
from chronik._kafka import messages
from chronik._kafka.codec import Reader, Writer
from chronik.testing import Connection, FetchPartition, encode_batch
from support import Replicas, Rises

FETCH, PRODUCE, METADATA, API_VERSIONS = (1, 11), (0, 7), (3, 7), 18


def test_answers_leave_in_request_order_although_a_later_one_is_ready_first(chronik_cluster, topic, replicas):
    connection = replicas.at(replicas.leader)
    parked = messages.fetch_request([FetchPartition(topic)], max_wait_ms=400, min_bytes=1, isolation=0, rack="")
    first = connection.send(*FETCH, parked)
    second = connection.send(*METADATA, messages.metadata_request([topic]))
    begun = time.monotonic()
    assert messages.fetch_response(connection.receive(first))[1][0].error_code == 0
    assert time.monotonic() - begun > 0.3
    assert messages.metadata_response(connection.receive(second)).topics[0].name == topic


def test_pipelined_produces_keep_their_order(chronik_cluster, topic, replicas: Replicas):
    connection = replicas.at(replicas.leader)
    sent = [
        connection.send(*PRODUCE, messages.produce_request(topic, 0, encode_batch([b"%d" % number]), -1, 5000))
        for number in range(100)
    ]
    offsets = [messages.produce_response(connection.receive(correlation)).base_offset for correlation in sent]
    assert offsets == list(range(100))


def test_a_produce_without_acks_has_no_answer(chronik_cluster, topic, replicas: Replicas):
    connection = replicas.at(replicas.leader)
    connection.produce(topic, [b"silent"], acks=0)
    # The next answer on the connection is that of the next request: `receive` checks the correlation id.
    assert connection.metadata([topic]).topics[0].name == topic
    chronik_cluster.wait_for(lambda: connection.fetch(topic).values == [b"silent"])


def test_a_produce_without_acks_to_a_follower_closes_the_connection(chronik_cluster, topic, replicas: Replicas):
    with Connection(replicas.followers[0].bootstrap_servers, timeout=10) as connection:
        connection.produce(topic, [b"lost"], acks=0)
        assert connection.socket.recv(1) == b""


def test_api_versions_in_an_unknown_version_answers_in_version_0(chronik_cluster: chronik.Cluster):
    with Connection(chronik_cluster.nodes[0].bootstrap_servers) as connection:
        reader = connection.call(API_VERSIONS, 99, b"anything")
        error_code, versions = messages.api_versions_response(reader)
        assert error_code == 35
        assert API_VERSIONS in versions
        # The connection is still good.
        assert connection.api_versions()[API_VERSIONS] == versions[API_VERSIONS]


def test_empty_records_are_never_null(chronik_cluster, topic, replicas: Replicas):
    for node in replicas.nodes:
        assert not replicas.at(node).fetch(topic, 0, max_wait_ms=0).data_was_null
        assert not replicas.at(node).fetch(topic, 99, max_wait_ms=0).data_was_null


def test_a_leader_hints_at_the_follower_in_the_clients_rack_and_a_follower_never_hints(
    chronik_cluster, topic, replicas: Replicas
):
    assert replicas.at(replicas.leader).produce(topic, [b"a"]).error_code == 0
    for follower in replicas.followers:
        rises = Rises([replicas.leader])
        hint = replicas.at(replicas.leader).fetch(topic, rack=follower.rack, max_wait_ms=10_000)
        assert (hint.error_code, hint.preferred_read_replica, hint.values) == (0, follower.id, [])
        assert rises.of(replicas.leader, "preferred_replica_hints") == 1
        assert rises.of(replicas.leader, "fetches_served_as_leader") == 0
        served = replicas.at(follower).fetch(topic, rack=follower.rack)
        assert (served.preferred_read_replica, served.values) == (-1, [b"a"])
    own = replicas.at(replicas.leader).fetch(topic, rack=replicas.leader.rack)
    assert (own.preferred_read_replica, own.values) == (-1, [b"a"])


def test_no_hint_to_a_dead_follower(chronik_cluster, topic, replicas: Replicas):
    follower = replicas.followers[0]
    assert replicas.at(replicas.leader).produce(topic, [b"a"]).error_code == 0
    follower.kill()
    chronik_cluster.wait_for(lambda: replicas.at(replicas.leader).fetch(topic, rack=follower.rack).values == [b"a"])
    with Connection(replicas.leader.bootstrap_servers) as connection:
        chronik_cluster.wait_for(lambda: follower.id not in {b.node_id for b in connection.metadata().brokers})


def test_at_least_one_batch_comes_back_whatever_the_limit_and_limits_hold_above(chronik_cluster, topic, replicas):
    connection = replicas.at(replicas.leader)
    for _ in range(3):
        assert connection.produce(topic, [b"x" * 10_000]).error_code == 0
    assert len(connection.fetch(topic, max_bytes=1).records) == 1
    assert len(connection.fetch(topic, max_bytes=25_000).records) == 2
    assert len(connection.fetch(topic).records) == 3


def test_a_fetch_inside_a_batch_returns_the_whole_batch(chronik_cluster, topic, replicas: Replicas):
    assert replicas.at(replicas.leader).produce(topic, [b"a", b"b", b"c"]).error_code == 0
    for node in replicas.nodes:
        assert [record.offset for record in replicas.at(node).fetch(topic, 1).records] == [0, 1, 2]


def test_the_producers_bytes_come_back_but_for_offset_and_epoch(chronik_cluster, topic, replicas: Replicas):
    sent = encode_batch([b"value"], key=b"key")
    assert replicas.at(replicas.leader).produce(topic, batch=sent).error_code == 0
    for node in replicas.nodes:
        got = replicas.at(node).fetch(topic).data
        assert got[16:] == sent[16:]
        assert struct.unpack(">i", got[12:16])[0] >= 1


def test_list_offsets_by_time_finds_the_record(chronik_cluster, topic, replicas: Replicas):
    for timestamp in (1000, 2000, 3000):
        batch = encode_batch([b"x"], timestamp_ms=timestamp)
        assert replicas.at(replicas.leader).produce(topic, batch=batch).error_code == 0
    for node in replicas.nodes:
        connection = replicas.at(node)
        found = connection.list_offsets(topic, 1500)
        assert (found.offset, found.timestamp_ms) == (1, 2000)
        assert connection.list_offsets(topic, 9000).offset == -1
        assert (connection.list_offsets(topic, -2).offset, connection.list_offsets(topic, -1).offset) == (0, 3)


def test_a_short_limit_starves_no_partition(chronik_cluster, chronik_topic):
    chronik_cluster.create_topic(chronik_topic, partitions=3)
    node = chronik_cluster.nodes[0]
    for partition in range(3):
        with Connection(chronik_cluster.leader(chronik_topic, partition).bootstrap_servers) as connection:
            assert connection.produce(chronik_topic, [b"x" * 100], partition=partition).error_code == 0
    wanted = [FetchPartition(chronik_topic, partition, 0) for partition in range(3)]
    with Connection(node.bootstrap_servers) as connection:
        answers = connection.fetch_many(wanted)
    assert {answer.partition for answer in answers if answer.values} == {0, 1, 2}


def test_unknown_topics_and_partitions_are_named_as_such(chronik_cluster, topic, replicas: Replicas):
    for node in replicas.nodes:
        connection = replicas.at(node)
        assert connection.fetch("no-such-topic").error_code == 3
        assert connection.list_offsets("no-such-topic").error_code == 3
        assert connection.fetch(topic, partition=7).error_code == 3


def test_fetch_creates_no_topic_and_metadata_only_when_asked(chronik_cluster, chronik_topic):
    with Connection(chronik_cluster.nodes[0].bootstrap_servers) as connection:
        assert connection.fetch(chronik_topic).error_code == 3
        assert connection.metadata([chronik_topic]).topics[0].error_code == 3
        assert chronik_topic not in {topic.name for topic in connection.metadata().topics}
        created = messages.metadata_response(
            connection.call(*METADATA, messages.metadata_request([chronik_topic], create=True))
        )
        assert created.topics[0].name == chronik_topic
        chronik_cluster.wait_for(lambda: connection.metadata([chronik_topic]).topics[0].error_code == 0)


def test_a_deleted_topic_is_gone_at_every_node_and_its_successor_is_empty(chronik_cluster, topic, replicas: Replicas):
    assert replicas.at(replicas.leader).produce(topic, [b"old"]).error_code == 0
    chronik_cluster.delete_topic(topic)
    for node in replicas.nodes:
        assert replicas.at(node).metadata([topic]).topics[0].error_code == 3
    chronik_cluster.create_topic(topic)
    for node in replicas.nodes:
        answer = replicas.at(node).fetch(topic, max_wait_ms=0)
        assert (answer.error_code, answer.high_watermark, answer.values) == (0, 0, [])


def test_a_created_topic_is_known_to_every_node_with_its_leader(chronik_cluster: chronik.Cluster):
    connections = [Connection(node.bootstrap_servers) for node in chronik_cluster.nodes]
    for number in range(30):
        chronik_cluster.create_topic(f"known-{number}", partitions=2)
        seen = {
            tuple(
                (p.index, p.error_code, p.leader) for p in connection.metadata([f"known-{number}"]).topics[0].partitions
            )
            for connection in connections
        }
        assert len(seen) == 1
        assert all(error == 0 and leader > 0 for _, error, leader in next(iter(seen)))
    for connection in connections:
        connection.close()


def test_find_coordinator_tells_the_truth(chronik_cluster: chronik.Cluster):
    """Every node names the same coordinator, with the address it has."""
    found = set()
    for node in chronik_cluster.nodes:
        with Connection(node.bootstrap_servers) as connection:
            reader: Reader = connection.call(10, 0, Writer().string("group").finish())
            assert reader.int16() == 0
            found.add((reader.int32(), reader.string(), reader.int32()))
    ((coordinator, host, port),) = found
    assert f"{host}:{port}" == chronik_cluster.node(coordinator).bootstrap_servers


def test_every_offered_version_of_every_request_is_answered(chronik_cluster: chronik.Cluster):
    """Version tables and headers agree: an empty-handed Metadata works in each offered version."""
    with Connection(chronik_cluster.nodes[0].bootstrap_servers) as connection:
        low, high = connection.api_versions()[3]
        for version in range(low, high + 1):
            if version >= 9:
                body = b"\x01" + b"\x00" * (3 if version <= 10 else 2) + b"\x00"
                reader = flexible_call(connection, 3, version, body)
                assert reader.remaining > 0
            elif version >= 1:
                body = struct.pack(">i", 0) + (b"\0" if version >= 4 else b"") + (b"\0\0" if version >= 8 else b"")
                assert connection.call(3, version, body).remaining > 0


def flexible_call(connection: Connection, key: int, version: int, body: bytes) -> Reader:
    header = struct.pack(">hhih", key, version, 4242, -1) + b"\0"
    connection.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    return connection.receive(4242)
