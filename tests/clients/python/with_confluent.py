"""confluent-kafka; with the variable GROUP_PROTOCOL=consumer its groups speak KIP-848."""

from __future__ import annotations

import os
from typing import Any

from confluent_kafka import AcknowledgeType, Consumer, Message, Producer, ShareConsumer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from speech import HEARTBEAT_MS, MEMBER_POLL_MS, TRANSACTIONS, arguments, input_ended, say

PROTOCOL = os.environ.get("GROUP_PROTOCOL", "classic")


def produce(bootstrap: str, topic: str, partitions: str, values: str) -> None:
    written: dict[str, Message] = {}

    def on_delivery(error: Any, message: Message) -> None:
        if error is not None:
            raise RuntimeError(error)
        written[message.value().decode()] = message

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    names = values.split(",")
    for number, value in enumerate(names):
        producer.produce(topic, value.encode(), partition=number % int(partitions), on_delivery=on_delivery)
    producer.flush(30)
    for value in names:
        say("produced", partition=written[value].partition(), offset=written[value].offset())


def read(bootstrap: str, topic: str, count: str, rack: str = "", isolation: str = "read_uncommitted") -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}-reader",
            "enable.auto.commit": False,
            "client.rack": rack,
            "isolation.level": isolation,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    left = int(count)
    while left > 0:
        left -= len(say_all(poll(consumer)))
    consumer.close()


def poll(consumer: Consumer) -> list[Message]:
    polled = consumer.consume(num_messages=100, timeout=MEMBER_POLL_MS / 1000)
    for message in polled:
        if message.error() is not None:
            raise RuntimeError(message.error())
    return polled


def say_all(messages: list[Message]) -> list[Message]:
    for message in messages:
        say("record", partition=message.partition(), offset=message.offset(), value=message.value().decode())
    return messages


def member(bootstrap: str, topic: str, group: str) -> None:
    ended = input_ended()
    consumer = group_consumer(bootstrap, group)
    consumer.subscribe([topic])
    assigned: list[int] | None = None
    while not ended.is_set():
        if say_all(poll(consumer)):
            consumer.commit(asynchronous=False)
            say("committed")
        now_assigned = sorted(partition.partition for partition in consumer.assignment())
        if now_assigned != assigned:
            assigned = now_assigned
            say("assigned", partitions=assigned)
    consumer.close()


def group_consumer(bootstrap: str, group: str) -> Consumer:
    options = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "group.protocol": PROTOCOL,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
    if PROTOCOL == "classic":  # in the other the broker says how often
        options["heartbeat.interval.ms"] = HEARTBEAT_MS
    return Consumer(options)


def share(bootstrap: str, topic: str, group: str, release: str = "") -> None:
    ended = input_ended()
    consumer = ShareConsumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "share.acknowledgement.mode": "explicit"}
    )
    consumer.subscribe([topic])
    while not ended.is_set():
        messages = list(consumer.poll(timeout=MEMBER_POLL_MS / 1000))
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(message.error())
            value, deliveries = message.value().decode(), message.delivery_count()
            accepted = deliveries > 1 or not release or not value.endswith(release)
            consumer.acknowledge(message, AcknowledgeType.ACCEPT if accepted else AcknowledgeType.RELEASE)
            place = {"partition": message.partition(), "offset": message.offset()}
            say("record", **place, value=value, deliveries=deliveries, accepted=accepted)
        if messages:
            for error in consumer.commit_sync(timeout=30).values():
                if error is not None:
                    raise error
            say("committed")
    consumer.close()


def transact(bootstrap: str, topic: str, id: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": id})
    producer.init_transactions(30)
    for name, is_kept in TRANSACTIONS:
        producer.begin_transaction()
        for number in range(2):
            producer.produce(topic, f"{name}-{number}".encode(), partition=0)
        producer.flush(30)
        end_transaction(producer, is_kept)
        say("ended", how="commit" if is_kept else "abort")


def end_transaction(producer: Producer, is_kept: bool) -> None:
    if is_kept:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def copy(bootstrap: str, topic: str, target: str, group: str, id: str, count: str, end: str) -> None:
    consumer = group_consumer(bootstrap, group)
    consumer.subscribe([topic])
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": id})
    producer.init_transactions(30)
    left = int(count)
    while left > 0:
        messages = poll(consumer)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            producer.produce(target, message.value(), partition=0)
        offsets = [TopicPartition(topic, 0, messages[-1].offset() + 1)]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        end_transaction(producer, end == "commit")
        left -= len(messages)
        say("copied", count=len(messages))
    consumer.close()


def admin(bootstrap: str, topic: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap})
    wait(
        client.create_topics(
            [NewTopic(topic, num_partitions=2, replication_factor=3, config={"retention.ms": "60000"})]
        )
    )
    say("created")
    say("listed", found=topic in client.list_topics(timeout=30).topics)
    say("config", value=retention(client, topic))
    entry = ConfigEntry("retention.ms", "120000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    wait(client.incremental_alter_configs([resource]))
    say("altered")
    say("config", value=retention(client, topic))
    wait(client.create_partitions([NewPartitions(topic, 4)]))
    say("grown")
    say("partitions", count=len(client.list_topics(timeout=30).topics[topic].partitions))
    wait(client.delete_topics([topic]))
    say("deleted")
    say("listed", found=topic in client.list_topics(timeout=30).topics)


def wait(futures: dict[Any, Any]) -> Any:
    """Waits for all answers of the admin client; the last one."""
    answers = [future.result(30) for future in futures.values()]
    return answers[-1]


def retention(client: AdminClient, topic: str) -> str:
    return wait(client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))["retention.ms"].value


JOBS = {
    "produce": produce,
    "read": read,
    "member": member,
    "share": share,
    "transact": transact,
    "copy": copy,
    "admin": admin,
}

if __name__ == "__main__":
    job, named = arguments()
    JOBS[job](**named)
