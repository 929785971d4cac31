"""Nodes that come and go while clients work, and a lost disk that gets its vote back."""

from __future__ import annotations

import chronik
from chronik.testing import Connection
from idempotent import IdempotentSends
from support import read_with_kafka_python

TOPIC = "t"


def test_nodes_come_and_go_and_a_producer_notices_nothing():
    with chronik.Cluster(3) as cluster:
        cluster.create_topic(TOPIC, partitions=1, replication_factor=3)
        # The first node stays, so that the producer can find the others by it.
        first = cluster.nodes[0]
        with IdempotentSends(first.bootstrap_servers, TOPIC) as sends:
            cluster.wait_for(lambda: len(sends.acknowledged()) >= 50, 30)
            joined = cluster.add_node(rack="elsewhere")
            assert joined in cluster.nodes
            assert (joined.rack, joined.has_vote) == ("elsewhere", True)
            leaver = next(node for node in (cluster.leader(TOPIC), *cluster.followers(TOPIC)) if node != first)
            cluster.remove_node(leaver)
            assert leaver not in cluster.nodes
            goal = len(sends.acknowledged()) + 50
            cluster.wait_for(lambda: len(sends.acknowledged()) >= goal, 30)
            values = sends.finish()
        assert joined in [cluster.leader(TOPIC), *cluster.followers(TOPIC)]
        for node in cluster.nodes:
            assert read_with_kafka_python(node.pinned_bootstrap_servers, TOPIC, len(values)) == values


def test_a_wiped_node_that_is_admitted_again_stands_in_for_another():
    with chronik.Cluster(3) as cluster:
        cluster.create_topic(TOPIC, partitions=1, replication_factor=3)
        wiped, other = cluster.followers(TOPIC)
        wiped.wipe()
        wiped.restart()
        assert not wiped.has_vote
        wiped.readmit()
        assert wiped.has_vote
        other.kill()
        with Connection(cluster.leader(TOPIC).bootstrap_servers, timeout=20) as connection:
            assert connection.produce(TOPIC, [b"held by two of three"]).error_code == 0
        assert read_with_kafka_python(wiped.pinned_bootstrap_servers, TOPIC, 1) == [b"held by two of three"]
