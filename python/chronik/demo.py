"""``python -m chronik demo``: the main job, and the proof that it happened.

Three nodes in this process, a produce to the leader with kafka-python, a consume from a follower through
``client_rack``; then a loop of writes, each read back at once from every follower. The nodes' own counters say who
served. Exits with 1 when the proof fails.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from .cluster import Cluster
from .node import Node
from .testing import Connection

TOPIC = "orders"
RECORDS = [f"order-{number}".encode() for number in range(1, 6)]
LOOPS = 500
CONSUME_SECONDS = 15.0


def demo() -> int:
    """Runs the demo; the exit code."""
    try:
        import kafka
    except ImportError:
        print(
            "chronik demo: the package kafka-python is missing; install it with\n"
            f"    {sys.executable} -m pip install 'kafka-python>=3.0.12' crc32c",
            file=sys.stderr,
        )
        return 2
    if not hasattr(kafka, "__version__") or int(kafka.__version__.split(".")[0]) < 3:
        print(
            f"chronik demo: kafka-python {kafka.__version__} cannot read from followers (KIP-392); install 3.0.12 or "
            "newer",
            file=sys.stderr,
        )
        return 2
    begun = time.perf_counter()
    with Cluster(3, name="demo") as cluster:
        started = time.perf_counter()
        print(f"started 3 nodes in {_ms(started - begun)}: {cluster.bootstrap_servers}")
        cluster.create_topic(TOPIC, partitions=1, replication_factor=3)
        leader, follower = cluster.leader(TOPIC), cluster.followers(TOPIC)[0]
        print(f"created topic {TOPIC!r}, replication factor 3, in {_ms(time.perf_counter() - started)}")
        print(f"  leader node {leader.id}; the consumer will read from node {follower.id} ({follower.rack})")
        proofs = [
            _produce(kafka, cluster),
            _consume(kafka, cluster, leader, follower),
            _read_own_writes(cluster, leader),
        ]
    print("all nodes stopped")
    if not all(proofs):
        print("the proof FAILED; see the lines marked with !! above", file=sys.stderr)
        return 1
    print("proved: a follower served the reads, and no read missed an acknowledged write")
    return 0


def _produce(kafka: Any, cluster: Cluster) -> bool:
    begun = time.perf_counter()
    producer = kafka.KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    try:
        offsets = [producer.send(TOPIC, value).get(timeout=10).offset for value in RECORDS]
    finally:
        producer.close()
    print(f"kafka-python {kafka.__version__} produced {len(RECORDS)} records, acks=all, in {_since(begun)}")
    return _proof(offsets == list(range(len(RECORDS))), f"acknowledged offsets are {offsets}")


def _consume(kafka: Any, cluster: Cluster, leader: Node, follower: Node) -> bool:
    before = {node.id: node.stats() for node in (leader, follower)}
    begun = time.perf_counter()
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=cluster.bootstrap_servers,
        client_rack=follower.rack,
        auto_offset_reset="earliest",
        group_id=None,
    )
    values: list[bytes] = []
    try:
        consumer.assign([kafka.TopicPartition(TOPIC, 0)])
        consumer.seek_to_beginning()
        while len(values) < len(RECORDS) and time.perf_counter() - begun < CONSUME_SECONDS:
            for records in consumer.poll(timeout_ms=500).values():
                values += [record.value for record in records]
    finally:
        consumer.close()
    print(f"kafka-python consumed {len(values)} records with client_rack={follower.rack!r} in {_since(begun)}")
    rose = {
        node.id: {name: count - before[node.id].get(name, 0) for name, count in node.stats().items()}
        for node in (leader, follower)
    }
    served = rose[follower.id]["fetches_served_as_follower"]
    rounds = rose[follower.id]["read_gate_rounds"]
    led = rose[leader.id]["fetches_served_as_leader"]
    return all(
        [
            _proof(values == RECORDS, "the records are the ones produced, in order"),
            _proof(served > 0, f"node {follower.id} served {served} fetches as a follower"),
            _proof(rounds > 0, f"node {follower.id} passed its read gate: {rounds} rounds with the leader"),
            _proof(led == 0, f"node {leader.id}, the leader, served {led} fetches"),
        ]
    )


def _read_own_writes(cluster: Cluster, leader: Node) -> bool:
    followers = cluster.followers(TOPIC)
    before = sum(node.stats()["read_gate_rounds"] for node in followers)
    stale = 0
    waits: list[float] = []
    with Connection(leader.bootstrap_servers) as writer:
        readers = [Connection(node.bootstrap_servers) for node in followers]
        begun = time.perf_counter()
        for number in range(LOOPS):
            written = writer.produce(TOPIC, [b"loop-%d" % number])
            for reader in readers:
                asked = time.perf_counter()
                read = reader.fetch(TOPIC, written.base_offset)
                waits.append(time.perf_counter() - asked)
                is_fresh = read.error_code == 0 and read.values == [b"loop-%d" % number]
                stale += 0 if is_fresh and read.high_watermark > written.base_offset else 1
        took = time.perf_counter() - begun
        for reader in readers:
            reader.close()
    rounds = sum(node.stats()["read_gate_rounds"] for node in followers) - before
    print(f"raw loop: {LOOPS} writes, each read at once from both followers, in {_ms(took)}")
    print(f"  follower read p50 {_ms(statistics.median(waits))}, slowest {_ms(max(waits))}, {rounds} read-gate rounds")
    return _proof(stale == 0 and rounds > 0, f"{stale} of {len(waits)} follower reads missed the write before them")


def _proof(holds: bool, claim: str) -> bool:
    print(f"  {'ok' if holds else '!!'} {claim}")
    return holds


def _since(begun: float) -> str:
    return _ms(time.perf_counter() - begun)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
