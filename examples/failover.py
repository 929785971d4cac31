"""What the death of a leader costs: an idempotent producer writes on while leaders crash, one after the other."""

import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import chronik

CRASHES = 5
TOPIC = "orders"


def main() -> None:
    with chronik.Cluster(3) as cluster:
        cluster.create_topic(TOPIC, partitions=1, replication_factor=3)
        producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers, retry_backoff_ms=20)
        sent = []
        for number in range(CRASHES):
            leader = cluster.leader(TOPIC)
            leader.crash()  # unsynced bytes are lost, as in a power failure
            begun = time.perf_counter()
            sent.append(b"after crash %d" % number)
            producer.send(TOPIC, sent[-1]).get(timeout=30)
            print(f"leader {leader.id} crashed; the next write took {(time.perf_counter() - begun) * 1000:.0f} ms")
            leader.restart()
        producer.close()

        # Every replica holds exactly what was acknowledged, once and in order.
        for node in cluster.nodes:
            consumer = KafkaConsumer(bootstrap_servers=node.pinned_bootstrap_servers, auto_offset_reset="earliest")
            consumer.assign([TopicPartition(TOPIC, 0)])
            read = [next(consumer).value for _ in sent]
            consumer.close()
            assert read == sent, (node, read)
            print(f"node {node.id} holds all {len(read)} writes")


if __name__ == "__main__":
    main()
