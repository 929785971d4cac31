"""aiokafka."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from speech import HEARTBEAT_MS, MEMBER_POLL_MS, TRANSACTIONS, arguments, input_ended, say, say_record


async def produce(bootstrap: str, topic: str, partitions: str, values: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        sent = [
            await producer.send(topic, value.encode(), partition=number % int(partitions))
            for number, value in enumerate(values.split(","))
        ]
        for future in sent:
            written = await future
            say("produced", partition=written.partition, offset=written.offset)


async def read(bootstrap: str, topic: str, count: str, rack: str = "", isolation: str = "read_uncommitted") -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        client_rack=rack or None,
        isolation_level=isolation,
    )
    async with consumer:
        consumer.assign([TopicPartition(topic, 0)])
        for _ in range(int(count)):
            say_record(await consumer.getone())


async def member(bootstrap: str, topic: str, group: str) -> None:
    ended = input_ended()
    async with group_consumer(bootstrap, group) as consumer:
        consumer.subscribe([topic], listener=Listener())
        while not ended.is_set():
            polled = await consumer.getmany(timeout_ms=MEMBER_POLL_MS)
            for records in polled.values():
                for record in records:
                    say_record(record)
            if polled:
                await consumer.commit()
                say("committed")


class Listener(ConsumerRebalanceListener):
    """Says what is assigned after every rebalance."""

    def on_partitions_revoked(self, revoked: Any) -> None:
        say("assigned", partitions=[])

    def on_partitions_assigned(self, assigned: Any) -> None:
        say("assigned", partitions=[partition.partition for partition in assigned])


def group_consumer(bootstrap: str, group: str, **options: Any) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        heartbeat_interval_ms=HEARTBEAT_MS,
        **options,
    )


async def transact(bootstrap: str, topic: str, id: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=id) as producer:
        for name, is_kept in TRANSACTIONS:
            await producer.begin_transaction()
            for number in range(2):
                await producer.send_and_wait(topic, f"{name}-{number}".encode(), partition=0)
            await (producer.commit_transaction() if is_kept else producer.abort_transaction())
            say("ended", how="commit" if is_kept else "abort")


async def copy(bootstrap: str, topic: str, target: str, group: str, id: str, count: str, end: str) -> None:
    left = int(count)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=id)
    async with group_consumer(bootstrap, group, isolation_level="read_committed") as consumer, producer:
        consumer.subscribe([topic])
        while left > 0:
            polled = await consumer.getmany(timeout_ms=MEMBER_POLL_MS)
            records = [record for batch in polled.values() for record in batch]
            if not records:
                continue
            await producer.begin_transaction()
            for record in records:
                await producer.send(target, record.value, partition=0)
            await producer.send_offsets_to_transaction({TopicPartition(topic, 0): records[-1].offset + 1}, group)
            await (producer.commit_transaction() if end == "commit" else producer.abort_transaction())
            left -= len(records)
            say("copied", count=len(records))


async def admin(bootstrap: str, topic: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    await client.create_topics(
        [NewTopic(topic, num_partitions=2, replication_factor=3, topic_configs={"retention.ms": "60000"})]
    )
    say("created")
    say("listed", found=topic in await client.list_topics())
    say("config", value=await retention(client, topic))
    await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "120000"})])
    say("altered")
    say("config", value=await retention(client, topic))
    await client.create_partitions({topic: NewPartitions(4)})
    say("grown")
    say("partitions", count=len((await client.describe_topics([topic]))[0]["partitions"]))
    await client.delete_topics([topic])
    say("deleted")
    say("listed", found=topic in await client.list_topics())
    await client.close()


async def retention(client: AIOKafkaAdminClient, topic: str) -> str:
    described = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return next(entry[1] for entry in described[0].resources[0][4] if entry[0] == "retention.ms")


JOBS = {"produce": produce, "read": read, "member": member, "transact": transact, "copy": copy, "admin": admin}

if __name__ == "__main__":
    job, named = arguments()
    asyncio.run(JOBS[job](**named))
