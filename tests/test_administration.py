"""Administration with the admin clients people use: what they ask for happens, and shows at every node."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from confluent_kafka import ElectionType, KafkaException
from confluent_kafka import TopicPartition as ConfluentPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import OffsetOutOfRangeError, UnknownTopicOrPartitionError
from kafka.structs import TopicPartition, TopicPartitionReplica

import chronik


@pytest.fixture
def admin(chronik_cluster: chronik.Cluster) -> Generator[KafkaAdminClient]:
    """kafka-python's admin client."""
    client = KafkaAdminClient(bootstrap_servers=chronik_cluster.bootstrap_servers)
    yield client
    client.close()


@pytest.fixture
def confluent(chronik_cluster: chronik.Cluster) -> AdminClient:
    """confluent-kafka's admin client."""
    return AdminClient({"bootstrap.servers": chronik_cluster.bootstrap_servers})


def produce(cluster: chronik.Cluster, topic: str, count: int) -> None:
    """Writes numbered records to partition 0."""
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    for number in range(count):
        producer.send(topic, str(number).encode(), partition=0)
    producer.flush()
    producer.close()


def test_partitions_are_added_and_take_records(
    chronik_cluster: chronik.Cluster, topic: str, confluent: AdminClient
) -> None:
    for future in confluent.create_partitions([NewPartitions(topic, 3)]).values():
        future.result(timeout=10)
    metadata = confluent.list_topics(topic, timeout=10).topics[topic]
    assert sorted(metadata.partitions) == [0, 1, 2]
    assert all(partition.leader >= 0 for partition in metadata.partitions.values())
    producer = KafkaProducer(bootstrap_servers=chronik_cluster.bootstrap_servers)
    sent = producer.send(topic, b"x", partition=2).get(timeout=10)
    producer.close()
    assert (sent.partition, sent.offset) == (2, 0)
    with pytest.raises(KafkaException, match="INVALID_PARTITIONS"):
        next(iter(confluent.create_partitions([NewPartitions(topic, 2)]).values())).result(timeout=10)


def test_records_are_deleted_up_to_an_offset(
    chronik_cluster: chronik.Cluster, topic: str, admin: KafkaAdminClient, confluent: AdminClient
) -> None:
    produce(chronik_cluster, topic, 10)
    partition = TopicPartition(topic, 0)
    assert admin.delete_records({partition: 4})[partition]["low_watermark"] == 4
    consumer = KafkaConsumer(bootstrap_servers=chronik_cluster.bootstrap_servers)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    assert next(consumer).value == b"4"
    consumer.close()
    with pytest.raises(OffsetOutOfRangeError):
        admin.delete_records({partition: 11})
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_records({TopicPartition(topic, 9): -1})
    deleted = confluent.delete_records([ConfluentPartition(topic, 0, 10)])
    assert [future.result(timeout=10).low_watermark for future in deleted.values()] == [10]


def test_configuration_changes_show_at_once(topic: str, confluent: AdminClient) -> None:
    def alter(operation: AlterConfigOpType, value: str) -> None:
        entry = ConfigEntry("cleanup.policy", value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in confluent.incremental_alter_configs([resource]).values():
            future.result(timeout=10)

    def shown() -> str:
        (future,) = confluent.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        return str(future.result(timeout=10)["cleanup.policy"].value)

    assert shown() == "delete"
    alter(AlterConfigOpType.APPEND, "compact")
    assert shown() == "delete,compact"
    alter(AlterConfigOpType.SUBTRACT, "delete")
    assert shown() == "compact"
    with pytest.raises(KafkaException, match="INVALID_CONFIG"):
        alter(AlterConfigOpType.SET, "burn")


def test_members_of_the_consumer_protocol_report_every_100_ms(confluent: AdminClient) -> None:
    (future,) = confluent.describe_configs([ConfigResource(ResourceType.BROKER, "1")]).values()
    assert future.result(timeout=10)["group.consumer.heartbeat.interval.ms"].value == "100"


def test_the_cluster_is_described(topic: str, admin: KafkaAdminClient) -> None:
    resources = admin.list_config_resources()
    assert topic in resources["topic"]
    assert len(resources["broker"]) == 3
    (quorum,) = admin.describe_metadata_quorum()["topics"]
    (partition,) = quorum["partitions"]
    assert quorum["topic_name"] == "__cluster_metadata"
    assert partition["leader_id"] in {voter["replica_id"] for voter in partition["current_voters"]}
    directories = admin.describe_log_dirs()
    assert len(directories) == 3
    for node in directories:
        (directory,) = node["log_dirs"]
        assert topic in {held["name"] for held in directory["topics"]}
        replica = TopicPartitionReplica(topic, 0, node["broker"])
        moved = admin.alter_replica_log_dirs({replica: directory["log_dir"]})
        assert moved[replica].errno == 0


def test_the_preferred_leader_is_elected(chronik_cluster: chronik.Cluster, topic: str, confluent: AdminClient) -> None:
    partition = ConfluentPartition(topic, 0)

    def elect() -> str | None:
        (error,) = confluent.elect_leaders(ElectionType.PREFERRED, [partition]).result(timeout=20).values()
        return None if error is None else str(error.name())

    def leader() -> int:
        return int(confluent.list_topics(topic, timeout=10).topics[topic].partitions[0].leader)

    preferred = leader()
    assert elect() == "ELECTION_NOT_NEEDED"
    chronik_cluster.transfer_leader(topic, 0, min({1, 2, 3} - {preferred}))
    assert leader() != preferred
    assert elect() is None
    assert leader() == preferred
