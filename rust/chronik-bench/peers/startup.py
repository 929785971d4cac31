"""Start-up of three brokers as Python sees it: chronik beside librdkafka's mock, in turn, in one process.

Prints one line per broker: name, rounds, p50 and p99 in milliseconds; or the name and why it was skipped.
"""

import sys
import time

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20


def mock():
    """Start librdkafka's mock; seconds until its metadata shows three brokers, and what keeps it alive."""
    from confluent_kafka import Producer

    begin = time.perf_counter()
    producer = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "ignored"})
    while len(producer.list_topics(timeout=10).brokers) < 3:
        pass
    return time.perf_counter() - begin, producer


def chronik():
    """Start chronik; seconds until `start` returns, and the cluster."""
    from chronik import Cluster

    begin = time.perf_counter()
    cluster = Cluster(3).start()
    return time.perf_counter() - begin, cluster


def main():
    """Time both in turn."""
    samples = {"mock": [], "chronik": []}
    skipped = {}
    for _ in range(ROUNDS):
        for name, start in (("mock", mock), ("chronik", chronik)):
            if name in skipped:
                continue
            try:
                seconds, running = start()
            except ImportError as error:
                skipped[name] = str(error)
                continue
            samples[name].append(seconds * 1e3)
            if hasattr(running, "stop"):
                running.stop()
            del running
    for name, times in samples.items():
        if times:
            times.sort()
            p50, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
            sys.stdout.write(f"{name} {len(times)} {p50} {p99}\n")
        else:
            sys.stdout.write(f"{name} skipped {skipped.get(name, 'no rounds')}\n")


main()
