"""The state of a whole cluster, taken and put back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer

import chronik
from support import values_at


@pytest.fixture
def cluster(chronik_cluster_factory: Callable[..., chronik.Cluster]) -> chronik.Cluster:
    """A cluster whose state a test may exchange."""
    return chronik_cluster_factory(3)


def send(cluster: chronik.Cluster, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    producer.send("t", value, partition=0).get(timeout=10)
    producer.close()


def values(cluster: chronik.Cluster, node: chronik.Node) -> list[bytes]:
    return values_at(node.pinned_bootstrap_servers, "t")


def topics(cluster: chronik.Cluster) -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    names = sorted(admin.list_topics())
    admin.close()
    return names


def test_what_came_after_a_snapshot_is_gone_when_it_is_put_back(cluster: chronik.Cluster) -> None:
    cluster.create_topic("t", partitions=1, replication_factor=3)
    send(cluster, b"before")
    snapshot = cluster.snapshot()
    send(cluster, b"after")
    cluster.create_topic("later", partitions=1, replication_factor=3)
    for _ in range(2):
        cluster.restore(snapshot)
        assert topics(cluster) == ["t"]
        for node in cluster.nodes:
            assert values(cluster, node) == [b"before"]
        send(cluster, b"other")
        assert values(cluster, cluster.followers("t")[0]) == [b"before", b"other"]


def test_nodes_that_were_down_are_down_again(cluster: chronik.Cluster) -> None:
    cluster.create_topic("t", partitions=1, replication_factor=3)
    cluster.node(3).kill()
    snapshot = cluster.snapshot()
    cluster.node(3).restart()
    cluster.restore(snapshot)
    assert [node.is_running for node in cluster.nodes] == [True, True, False]
    send(cluster, b"v")
    cluster.node(3).restart()
    assert values(cluster, cluster.node(3)) == [b"v"]


def test_a_reset_leaves_nothing(cluster: chronik.Cluster) -> None:
    cluster.create_topic("t", partitions=1, replication_factor=3)
    send(cluster, b"v")
    cluster.reset()
    assert topics(cluster) == []
    cluster.create_topic("t", partitions=1, replication_factor=3)
    send(cluster, b"w")
    assert values(cluster, cluster.node(1)) == [b"w"]


def test_a_cluster_in_files_says_that_it_cannot(tmp_path: Path) -> None:
    with chronik.Cluster(1, data_dir=tmp_path) as cluster:
        with pytest.raises(chronik.ClusterStateError, match="data_dir=None"):
            cluster.snapshot()
        with pytest.raises(chronik.ClusterStateError, match="data_dir=None"):
            cluster.reset()


def test_only_a_snapshot_can_be_put_back(cluster: chronik.Cluster) -> None:
    with pytest.raises(chronik.InvalidTypeError, match="snapshot="):
        cluster.restore("yesterday")  # type: ignore[arg-type]
