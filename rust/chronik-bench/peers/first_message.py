"""From `subscribe` to the first message, for a group that nobody has heard of, with clients as their users have them.

Prints one line per client: name, groups, median and worst in milliseconds, and what the first group of a new cluster
took; or the name and why it was skipped.
"""

import sys
import time

GROUPS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
CLUSTERS = 3
TOPIC = "first-message"
PATIENCE_S = 30


def confluent(bootstrap, group):
    """Seconds from `subscribe` to the first message."""
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    begin = time.perf_counter()
    consumer.subscribe([TOPIC])
    message = consumer.poll(PATIENCE_S)
    elapsed = time.perf_counter() - begin
    consumer.close()
    if message is None or message.error():
        raise RuntimeError(f"no message within {PATIENCE_S} s: {message and message.error()}")
    return elapsed


def kafka_python(bootstrap, group):
    """Seconds from `subscribe` to the first message."""
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    begin = time.perf_counter()
    consumer.subscribe([TOPIC])
    deadline = begin + PATIENCE_S
    while not consumer.poll(timeout_ms=1000):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"no message within {PATIENCE_S} s")
    elapsed = time.perf_counter() - begin
    consumer.close()
    return elapsed


def cluster_with_message():
    """A new cluster whose topic holds one message."""
    from chronik import Cluster
    from confluent_kafka import Producer

    cluster = Cluster(3).start()
    cluster.create_topic(TOPIC, partitions=1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce(TOPIC, b"here")
    if producer.flush(PATIENCE_S):
        raise RuntimeError("the message was not taken")
    return cluster


def measure(client):
    """Median and worst of new groups of a cluster, and the median of a cluster's very first one, in milliseconds."""
    firsts, others = [], []
    for number in range(CLUSTERS):
        cluster = cluster_with_message()
        try:
            firsts.append(client(cluster.bootstrap_servers, "first") * 1e3)
            for group in range(GROUPS if number == 0 else 0):
                others.append(client(cluster.bootstrap_servers, f"group-{group}") * 1e3)
        finally:
            cluster.stop()
    others.sort()
    firsts.sort()
    return others[len(others) // 2], others[-1], firsts[len(firsts) // 2]


def main():
    """Measure both clients."""
    for name, client in (("confluent-kafka", confluent), ("kafka-python", kafka_python)):
        try:
            median, worst, first = measure(client)
        except ImportError as error:
            sys.stdout.write(f"{name} skipped {error}\n")
            continue
        sys.stdout.write(f"{name} {GROUPS} {median} {worst} {first}\n")


main()
