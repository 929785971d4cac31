"""kafka-python, the newest one or, with the variable KAFKA_PYTHON, the one in that folder."""

from __future__ import annotations

import os
import sys
from typing import Any

if "KAFKA_PYTHON" in os.environ:
    sys.path.insert(0, os.environ["KAFKA_PYTHON"])

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata
from speech import HEARTBEAT_MS, TRANSACTIONS, arguments, input_ended, say, say_record

IS_OLD = kafka.__version__.startswith("2.")

# kafka-python 3.0.12 loses a join that a poll gives up half-way: no poll may be shorter than a rebalance.
JOINING_POLL_MS = 1_000


def produce(bootstrap: str, topic: str, partitions: str, values: str) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = [
        producer.send(topic, value.encode(), partition=number % int(partitions))
        for number, value in enumerate(values.split(","))
    ]
    for future in sent:
        written = future.get(timeout=30)
        say("produced", partition=written.partition, offset=written.offset)
    producer.close()


def read(bootstrap: str, topic: str, count: str, rack: str = "", isolation: str = "read_uncommitted") -> None:
    options = {"client_rack": rack} if rack else {}
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level=isolation, **options
    )
    consumer.assign([TopicPartition(topic, 0)])
    for _ in range(int(count)):
        say_record(next(consumer))
    consumer.close()


def member(bootstrap: str, topic: str, group: str) -> None:
    ended = input_ended()
    consumer = group_consumer(bootstrap, group)
    consumer.subscribe([topic], listener=Listener(consumer))
    while not ended.is_set():
        polled = consumer.poll(timeout_ms=JOINING_POLL_MS)
        for records in polled.values():
            for record in records:
                say_record(record)
        if polled:
            consumer.commit()
            say("committed")
    consumer.close()


class Listener(ConsumerRebalanceListener):
    """Says what is assigned after every rebalance."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: Any) -> None:
        say("assigned", partitions=[])

    def on_partitions_assigned(self, assigned: Any) -> None:
        say("assigned", partitions=[partition.partition for partition in self._consumer.assignment()])


def group_consumer(bootstrap: str, group: str, **options: Any) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        heartbeat_interval_ms=HEARTBEAT_MS,
        **options,
    )


def transact(bootstrap: str, topic: str, id: str) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=id)
    producer.init_transactions()
    for name, is_kept in TRANSACTIONS:
        producer.begin_transaction()
        for number in range(2):
            producer.send(topic, f"{name}-{number}".encode(), partition=0)
        producer.flush()
        end(producer, is_kept)
        say("ended", how="commit" if is_kept else "abort")
    producer.close()


def end(producer: KafkaProducer, is_kept: bool) -> None:
    if is_kept:
        producer.commit_transaction()
    else:
        producer.abort_transaction()


def copy(bootstrap: str, topic: str, target: str, group: str, id: str, count: str, end: str) -> None:
    consumer = group_consumer(bootstrap, group, isolation_level="read_committed")
    consumer.subscribe([topic])
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=id)
    producer.init_transactions()
    left = int(count)
    while left > 0:
        polled = consumer.poll(timeout_ms=JOINING_POLL_MS)
        records = [record for batch in polled.values() for record in batch]
        if not records:
            continue
        producer.begin_transaction()
        for record in records:
            producer.send(target, record.value, partition=0)
        next_offset = records[-1].offset + 1
        producer.send_offsets_to_transaction(
            {TopicPartition(topic, 0): OffsetAndMetadata(next_offset, "", -1)},
            group if IS_OLD else consumer.group_metadata(),
        )
        producer.flush()
        if end == "commit":
            producer.commit_transaction()
        else:
            producer.abort_transaction()
        left -= len(records)
        say("copied", count=len(records))
    producer.close()
    consumer.close()


def admin(bootstrap: str, topic: str) -> None:
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    client.create_topics(
        [NewTopic(topic, num_partitions=2, replication_factor=3, topic_configs={"retention.ms": "60000"})]
    )
    say("created")
    say("listed", found=topic in client.list_topics())
    say("config", value=retention(client, topic))
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "120000"})])
    say("altered")
    say("config", value=retention(client, topic))
    client.create_partitions({topic: NewPartitions(4)})
    say("grown")
    say("partitions", count=len(client.describe_topics([topic])[0]["partitions"]))
    client.delete_topics([topic])
    say("deleted")
    say("listed", found=topic in client.list_topics())
    client.close()


def retention(client: KafkaAdminClient, topic: str) -> str | None:
    described = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    if IS_OLD:
        return next(entry[1] for entry in described[0].resources[0][4] if entry[0] == "retention.ms")
    return described["topic"][topic]["retention.ms"]["value"]


JOBS = {"produce": produce, "read": read, "member": member, "transact": transact, "copy": copy, "admin": admin}

if __name__ == "__main__":
    job, named = arguments()
    JOBS[job](**named)
