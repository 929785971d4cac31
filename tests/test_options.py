"""Wrong arguments: ValueError or TypeError that names the argument, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

import chronik

# The options, the class, and what the text must name.
WRONG_OPTIONS = [
    ({"nodes": 0}, ValueError, ["nodes", "0", "1 to"]),
    ({"nodes": -3}, ValueError, ["nodes", "-3"]),
    ({"nodes": "3"}, TypeError, ["nodes", "'3'", "int"]),
    ({"nodes": True}, TypeError, ["nodes", "True"]),
    ({"nodes": 3, "racks": ["a"]}, ValueError, ["racks", "['a']", "3"]),
    ({"nodes": 1, "racks": "a"}, TypeError, ["racks", "'a'", "list"]),
    ({"nodes": 1, "racks": [""]}, ValueError, ["racks[0]", "''"]),
    ({"nodes": 1, "racks": [1]}, TypeError, ["racks[0]", "1", "str"]),
    ({"nodes": 2, "ports": [1]}, ValueError, ["ports", "[1]", "2"]),
    ({"nodes": 1, "ports": [70000]}, ValueError, ["ports[0]", "70000", "65535"]),
    ({"nodes": 2, "ports": [9092, 9092]}, ValueError, ["ports", "9092", "twice"]),
    ({"host": 5}, TypeError, ["host", "5"]),
    ({"host": ""}, ValueError, ["host", "''"]),
    ({"data_dir": 5}, TypeError, ["data_dir", "5", "path"]),
    ({"durability": "sync"}, ValueError, ["durability", "'sync'", "'fsync'", "'os'"]),
    ({"durability": 1}, TypeError, ["durability", "1"]),
    ({"transport": "udp"}, ValueError, ["transport", "'udp'", "'inproc'", "'tcp'"]),
    ({"shards": 0}, ValueError, ["shards", "0"]),
    ({"clock": "fake"}, ValueError, ["clock", "'fake'", "'real'"]),
    ({"first_node_id": -1}, ValueError, ["first_node_id", "-1"]),
    ({"name": ""}, ValueError, ["name", "''"]),
    ({"config": ["a"]}, TypeError, ["config", "['a']", "dict"]),
    ({"config": {1: "a"}}, TypeError, ["config", "1"]),
    ({"config": {"num.partitions": None}}, TypeError, ["num.partitions", "None"]),
    ({"config": {"chronik.test.gate": "maybe"}}, ValueError, ["chronik.test.gate", "'maybe'", "'off'"]),
]


@pytest.mark.parametrize(("options", "kind", "named"), WRONG_OPTIONS, ids=[str(case[0]) for case in WRONG_OPTIONS])
def test_a_wrong_option_is_named_before_anything_starts(options, kind, named):
    with pytest.raises(kind) as caught:
        chronik.Cluster(**options)
    assert isinstance(caught.value, chronik.ChronikError)
    for word in named:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"num.partitions": "many"}, ["num.partitions", "many"]),
        ({"num.partitons": 3}, ["num.partitons", "num.partitions"]),
        ({"chronik.read.consistency": "eventual"}, ["chronik.read.consistency", "eventual", "linearizable"]),
    ],
)
def test_wrong_kafka_configuration_is_named(config, named):
    with pytest.raises(chronik.InvalidValueError) as caught:
        chronik.Cluster(1, config=config).start()
    for word in named:
        assert word in str(caught.value)


def test_kafka_configuration_without_effect_is_accepted_with_a_warning():
    with (
        pytest.warns(chronik.ChronikWarning, match=r"log\.cleaner\.threads"),
        chronik.Cluster(1, config={"log.cleaner.threads": 2}) as cluster,
    ):
        assert cluster.is_running


def test_options_are_by_keyword():
    with pytest.raises(TypeError):
        chronik.Cluster(3, ["a", "b", "c"])  # type: ignore[misc]


def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path):
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(chronik.SystemRefusedError, match="file") as caught:
        chronik.Cluster(1, data_dir=taken).start()
    assert isinstance(caught.value, OSError)


def test_configuration_has_its_effect(chronik_cluster_factory):
    cluster = chronik_cluster_factory(1, config={"num.partitions": 4, "auto.create.topics.enable": True})
    with pytest.raises(LookupError):
        cluster.leader("missing")
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    try:
        assert len(producer.partitions_for("automatic")) == 4
    finally:
        producer.close()


def test_first_node_id_and_racks_are_the_ones_asked_for(chronik_cluster_factory):
    cluster = chronik_cluster_factory(2, first_node_id=0, racks=["eu-1", "eu-2"])
    assert [(node.id, node.rack) for node in cluster.nodes] == [(0, "eu-1"), (1, "eu-2")]


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_clusters_of_other_sizes_work(chronik_cluster_factory, nodes):
    cluster = chronik_cluster_factory(nodes)
    cluster.create_topic("t", partitions=3)
    assert len(cluster.followers("t", 2)) == min(nodes, 3) - 1


def test_the_replicas_of_a_partition_are_in_different_racks(chronik_cluster_factory):
    cluster = chronik_cluster_factory(6, racks=["a", "a", "a", "b", "b", "c"])
    cluster.create_topic("t", partitions=6)
    for partition in range(6):
        replicas = [cluster.leader("t", partition), *cluster.followers("t", partition)]
        assert {node.rack for node in replicas} == {"a", "b", "c"}


WRONG_CALLS = [
    (lambda c: c.node(9), ValueError, ["id=9", "1, 2, 3"]),
    (lambda c: c.node("1"), TypeError, ["id='1'"]),
    (lambda c: c.isolate(None), TypeError, ["node=None"]),
    (lambda c: c.cut(1, 7), ValueError, ["b=7"]),
    (lambda c: c.delay(1, 2, -5), ValueError, ["ms=-5"]),
    (lambda c: c.delay(1, 2, 0.5), TypeError, ["ms=0.5"]),
    (lambda c: c.drop(1, 2, 1.5), ValueError, ["ratio=1.5", "1.0"]),
    (lambda c: c.leader("t", -1), ValueError, ["partition=-1"]),
    (lambda c: c.leader(5), TypeError, ["topic=5"]),
    (lambda c: c.create_topic(""), ValueError, ["name=''"]),
    (lambda c: c.create_topic("a/b"), Exception, ["a/b"]),
    (lambda c: c.create_topic("t", 0), ValueError, ["partitions=0"]),
    (lambda c: c.create_topic("t", replication_factor=4), Exception, ["4"]),
    (lambda c: c.create_topic("t", config={"retention.ms": "soon"}), Exception, ["retention.ms"]),
    (lambda c: c.node(1).crash("half"), ValueError, ["unsynced='half'", "'torn'"]),
    (lambda c: c.leader("missing"), LookupError, ["missing"]),
    (lambda c: c.delete_topic("missing"), LookupError, ["missing"]),
    (lambda c: c.node(1).restart(), RuntimeError, ["node 1", "running"]),
    (lambda c: c.wait_for(lambda: False, 0.01), TimeoutError, ["0.01"]),
]


@pytest.mark.parametrize(("call", "kind", "named"), WRONG_CALLS)
def test_a_wrong_call_says_what_is_wrong(chronik_cluster, call, kind, named):
    with pytest.raises(chronik.ChronikError) as caught:
        call(chronik_cluster)
    assert isinstance(caught.value, kind)
    for word in named:
        assert word in str(caught.value)


def test_a_topic_that_exists_is_refused_by_its_class(chronik_cluster, topic):
    with pytest.raises(chronik.TopicExistsError, match=topic):
        chronik_cluster.create_topic(topic)


def test_every_error_derives_from_the_base():
    from chronik import errors

    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, (chronik.ChronikError, UserWarning))
