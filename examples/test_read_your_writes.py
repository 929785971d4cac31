"""A pytest module to copy: every write is read back from a follower, also while the leader dies.

Run it with ``pytest examples/test_read_your_writes.py``; the fixtures come with the package.
"""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def test_each_write_is_read_back_from_a_follower(chronik_cluster, chronik_topic):
    chronik_cluster.create_topic(chronik_topic, partitions=1, replication_factor=3)
    leader, follower = chronik_cluster.leader(chronik_topic), chronik_cluster.followers(chronik_topic)[0]
    before = follower.stats()["fetches_served_as_follower"]

    producer = KafkaProducer(bootstrap_servers=chronik_cluster.bootstrap_servers)
    # Whatever a client does at the pinned address of a node, its reads are served by that node.
    consumer = KafkaConsumer(bootstrap_servers=follower.pinned_bootstrap_servers, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(chronik_topic, 0)])
    try:
        for number in range(20):
            value = b"order-%d" % number
            producer.send(chronik_topic, value).get(timeout=10)
            assert next(consumer).value == value
    finally:
        consumer.close()
        producer.close()

    assert follower.stats()["fetches_served_as_follower"] > before
    assert chronik_cluster.leader(chronik_topic) == leader


def test_a_write_survives_the_death_of_the_leader(chronik_cluster, chronik_topic):
    chronik_cluster.create_topic(chronik_topic, partitions=1, replication_factor=3)
    producer = KafkaProducer(bootstrap_servers=chronik_cluster.bootstrap_servers)
    producer.send(chronik_topic, b"kept").get(timeout=10)

    leader = chronik_cluster.leader(chronik_topic)
    leader.crash()
    chronik_cluster.wait_for(lambda: chronik_cluster.leader(chronik_topic) != leader)

    consumer = KafkaConsumer(
        chronik_topic, bootstrap_servers=chronik_cluster.bootstrap_servers, auto_offset_reset="earliest"
    )
    try:
        assert next(consumer).value == b"kept"
    finally:
        consumer.close()
        producer.close()
