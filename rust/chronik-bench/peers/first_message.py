"""From `subscribe` to the first message, for a group that nobody has heard of, with clients as their users have them.

The consumer is connected already. A client may let time pass in which it waits for no answer: librdkafka does so for
100 ms between learning that a group has no committed offset and asking for the earliest one. Such pauses are reported
apart, since no broker can shorten them.

Prints one line per client: name, groups; then in milliseconds the median of the whole, of the pauses, and of the rest,
the worst rest, and the median rest for the first group of a new cluster. Or the name and why it was skipped.
"""

import logging
import re
import sys
import time

GROUPS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
CLUSTERS = 3
TOPIC = "first-message"
PATIENCE_S = 30
SETTLE_S = 0.3
PAUSE_S_MIN = 0.02
REQUEST = re.compile(r"\S+ \[thrd:(\S+)\]: .*(Sent|Received) \S+ \(.*CorrId (\d+)")


class Wire(logging.Handler):
    """What librdkafka says about its requests and their answers, with the time."""

    def __init__(self):
        """Nothing was said yet."""
        super().__init__()
        self.events = []

    def emit(self, record):
        """Keep a line about a request or an answer."""
        said = REQUEST.search(record.getMessage())
        if said:
            self.events.append((time.perf_counter(), said[2] == "Sent", (said[1], said[3])))

    def pauses(self, begin, end):
        """Seconds between two times in which a good while passed and no request was under way."""
        open_requests, idle_since, total = set(), begin, 0.0
        for at, sent, request in sorted(self.events):
            if sent:
                if not open_requests and min(at, end) - max(idle_since, begin) >= PAUSE_S_MIN:
                    total += min(at, end) - max(idle_since, begin)
                open_requests.add(request)
            else:
                open_requests.discard(request)
                if not open_requests:
                    idle_since = at
        return total


def confluent(bootstrap, group):
    """Seconds from `subscribe` to the first message, and of pauses among them."""
    from confluent_kafka import Consumer

    wire, logger = Wire(), logging.Logger("librdkafka")
    logger.addHandler(wire)
    config = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"}
    consumer = Consumer({**config, "debug": "protocol"}, logger=logger)
    consumer.poll(SETTLE_S)
    begin = time.perf_counter()
    consumer.subscribe([TOPIC])
    message = consumer.poll(PATIENCE_S)
    end = time.perf_counter()
    # The lines are handed over by polls.
    consumer.poll(0)
    consumer.close()
    if message is None or message.error():
        raise RuntimeError(f"no message within {PATIENCE_S} s: {message and message.error()}")
    return end - begin, wire.pauses(begin, end)


def kafka_python(bootstrap, group):
    """Seconds from `subscribe` to the first message; there are no pauses to speak of."""
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    time.sleep(SETTLE_S)
    begin = time.perf_counter()
    consumer.subscribe([TOPIC])
    while not consumer.poll(timeout_ms=1000):
        if time.perf_counter() > begin + PATIENCE_S:
            raise RuntimeError(f"no message within {PATIENCE_S} s")
    elapsed = time.perf_counter() - begin
    consumer.close()
    return elapsed, 0.0


def cluster_with_message():
    """A new cluster whose topic holds one message."""
    from confluent_kafka import Producer

    from chronik import Cluster

    cluster = Cluster(3).start()
    cluster.create_topic(TOPIC, partitions=1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce(TOPIC, b"here")
    if producer.flush(PATIENCE_S):
        raise RuntimeError("the message was not taken")
    return cluster


def median(values):
    """The one in the middle."""
    return sorted(values)[len(values) // 2]


def measure(client):
    """The numbers of a client's line."""
    firsts, others = [], []
    for number in range(CLUSTERS):
        cluster = cluster_with_message()
        try:
            firsts.append(client(cluster.bootstrap_servers, "first"))
            for group in range(GROUPS if number == 0 else 0):
                others.append(client(cluster.bootstrap_servers, f"group-{group}"))
        finally:
            cluster.stop()
    rests = [whole - pauses for whole, pauses in others]
    whole, pauses = median([whole for whole, _ in others]), median([pauses for _, pauses in others])
    first = median([whole - pauses for whole, pauses in firsts])
    return [seconds * 1e3 for seconds in (whole, pauses, median(rests), max(rests), first)]


def main():
    """Measure both clients."""
    for name, client in (("confluent-kafka", confluent), ("kafka-python", kafka_python)):
        try:
            numbers = measure(client)
        except ImportError as error:
            sys.stdout.write(f"{name} skipped {error}\n")
            continue
        sys.stdout.write(f"{name} {GROUPS} {' '.join(str(number) for number in numbers)}\n")


main()
