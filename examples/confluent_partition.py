"""confluent-kafka and a network partition: a cut-off replica refuses to answer rather than answer from the past."""

from confluent_kafka import Consumer, Producer, TopicPartition

import chronik
from chronik.testing import fetch_at

TOPIC = "orders"


def produce(producer: Producer, value: bytes) -> None:
    producer.produce(TOPIC, value, partition=0)
    assert producer.flush(30) == 0


def main() -> None:
    with chronik.Cluster(3) as cluster:
        cluster.create_topic(TOPIC, partitions=1, replication_factor=3)
        producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "enable.idempotence": True})
        produce(producer, b"before")

        old = cluster.leader(TOPIC)
        cluster.isolate(old)  # from the other nodes; clients still reach it
        cluster.wait_for(lambda: cluster.leader(TOPIC) != old)
        produce(producer, b"after")

        answer = fetch_at(old, TOPIC, offset=1, wait_ms=250)
        print(f"the deposed leader, node {old.id}, answers Kafka error {answer.error_code} and no records")
        assert answer.error_code in (6, 78)
        assert answer.records == []

        cluster.recover()
        consumer = Consumer(
            {
                "bootstrap.servers": old.pinned_bootstrap_servers,
                "group.id": "unused",
                "enable.auto.commit": False,
            }
        )
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        values = []
        while len(values) < 2:
            message = consumer.poll(30)
            assert message is not None
            assert message.error() is None
            values.append(message.value())
        consumer.close()
        assert values == [b"before", b"after"]
        print(f"healed, the same node serves {values}")


if __name__ == "__main__":
    main()
