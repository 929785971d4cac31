"""asyncio: AsyncCluster and aiokafka, reading from the follower in the client's own rack."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import chronik

TOPIC = "orders"
RECORDS = 20


async def main() -> None:
    async with chronik.AsyncCluster(3, racks=["eu-1", "eu-2", "eu-3"]) as cluster:
        await cluster.create_topic(TOPIC, partitions=1, replication_factor=3)
        follower = (await cluster.followers(TOPIC))[0]
        producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers, enable_idempotence=True)
        consumer = AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=cluster.bootstrap_servers,
            client_rack=follower.rack,
            auto_offset_reset="earliest",
        )
        await producer.start()
        await consumer.start()
        try:
            for number in range(RECORDS):
                await producer.send_and_wait(TOPIC, b"order-%d" % number)
                assert (await consumer.getone()).value == b"order-%d" % number
        finally:
            await consumer.stop()
            await producer.stop()
        stats = await follower.stats()
        print(f"node {follower.id} in {follower.rack} served {stats['fetches_served_as_follower']} fetches")
        print(f"and asked the leader for the end of the log {stats['read_gate_rounds']} times")


if __name__ == "__main__":
    asyncio.run(main())
