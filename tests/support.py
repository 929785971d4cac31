"""What several tests need: counters as differences, connections to every replica, the real clients by one name."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as AioTopicPartition
from confluent_kafka import Consumer as ConfluentConsumer
from confluent_kafka import TopicPartition as ConfluentTopicPartition
from kafka import KafkaConsumer, TopicPartition

import chronik
from chronik.testing import ClusterRecording, Connection, History

ROOT = Path(__file__).resolve().parent.parent
CLIENT_SECONDS = 20.0

# "Not now": what a replica may answer while it cannot prove where the end is (semantics, section 3).
RETRIABLE = {5, 6, 78}


def values_at(servers: str, topic: str) -> list[bytes]:
    """All records of the topic's partition 0, as kafka-python reads them up to the end it is told."""
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=None)
    place = TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    end = consumer.end_offsets([place])[place]
    seen: list[bytes] = []
    while consumer.position(place) < end:
        seen.extend(record.value for records in consumer.poll(timeout_ms=50).values() for record in records)
    consumer.close()
    return seen


class Rises:
    """Counters of some nodes, as what was added since this object was made."""

    def __init__(self, nodes: Iterable[chronik.Node]) -> None:
        self._before = {node.id: node.stats() for node in nodes}

    def of(self, node: chronik.Node, name: str) -> int:
        return node.stats()[name] - self._before[node.id][name]


class Replicas:
    """One raw connection to every replica of a partition."""

    def __init__(self, cluster: chronik.Cluster, topic: str, *, timeout: float = 15.0) -> None:
        self.cluster = cluster
        self.topic = topic
        self.leader = cluster.leader(topic)
        self.followers = cluster.followers(topic)
        self.nodes = [self.leader, *self.followers]
        self._connections = {node.id: Connection(node.bootstrap_servers, timeout=timeout) for node in self.nodes}

    def at(self, node: chronik.Node) -> Connection:
        return self._connections[node.id]

    def recorded(self, node: chronik.Node, history: History) -> Any:
        """The connection to a replica, its calls recorded."""
        return history.wrap(self.at(node), client_name=f"client-{node.id}", node=node.id)

    def __enter__(self) -> Replicas:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._connections.values():
            connection.close()


@contextmanager
def judged(cluster: chronik.Cluster, topic: str) -> Iterator[ClusterRecording]:
    """Clients at every replica while the block makes faults; then no answer may break a promise."""
    with cluster.history(topic) as history:
        yield history
    history.check()


def assert_follower_served(rises: Rises, leader: chronik.Node, follower: chronik.Node) -> None:
    """The proof of a follower read: the follower's counters rose, the leader's did not."""
    assert rises.of(follower, "fetches_served_as_follower") > 0
    assert rises.of(follower, "read_gate_rounds") > 0
    assert rises.of(leader, "fetches_served_as_leader") == 0


def read_with_kafka_python(address: str, topic: str, count: int, **options: Any) -> list[bytes]:
    """The first ``count`` values of partition 0, with kafka-python 3."""
    consumer = KafkaConsumer(bootstrap_servers=address, group_id=None, auto_offset_reset="earliest", **options)
    try:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        return _gather(count, lambda: [r.value for rs in consumer.poll(timeout_ms=500).values() for r in rs])
    finally:
        consumer.close()


def read_with_confluent(address: str, topic: str, count: int, **options: Any) -> list[bytes]:
    """The first ``count`` values of partition 0, with confluent-kafka.

    It insists on a group id; there are no groups yet, so nothing may be committed when it closes.
    """
    settings = {"bootstrap.servers": address, "group.id": "unused", "enable.auto.commit": False, **options}
    consumer = ConfluentConsumer(settings)
    try:
        consumer.assign([ConfluentTopicPartition(topic, 0, 0)])

        def poll() -> list[bytes]:
            messages = consumer.consume(num_messages=100, timeout=0.5)
            for message in messages:
                assert message.error() is None, message.error()
            return [message.value() for message in messages]

        return _gather(count, poll)
    finally:
        consumer.close()


def read_with_aiokafka(address: str, topic: str, count: int, **options: Any) -> list[bytes]:
    """The first ``count`` values of partition 0, with aiokafka."""
    return asyncio.run(_read_with_aiokafka(address, topic, count, options))


async def _read_with_aiokafka(address: str, topic: str, count: int, options: dict[str, Any]) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id=None, auto_offset_reset="earliest", **options)
    await consumer.start()
    try:
        partition = AioTopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        values: list[bytes] = []
        deadline = time.monotonic() + CLIENT_SECONDS
        while len(values) < count and time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


def old_kafka_python(version: str) -> Path:
    """Where an older kafka-python is installed; skips the test where it is not or cannot run."""
    if version.startswith("2.0") and sys.version_info >= (3, 12):
        pytest.skip(f"kafka-python {version} does not run on Python 3.12 and newer")
    folder = ROOT / ".venv" / "clients" / f"kafka-python-{version}"
    if not folder.is_dir():
        pytest.skip(f"kafka-python {version} is not installed; `make venv` does it")
    return folder


def run_old_kafka_python(version: str, *arguments: str) -> str:
    """Runs `old_client.py` with an older kafka-python; its output."""
    command = [sys.executable, str(ROOT / "tests" / "old_client.py"), str(old_kafka_python(version)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_with_kafka_python_2_0(address: str, topic: str, count: int) -> list[bytes]:
    """The first ``count`` values of partition 0, with kafka-python 2.0.2, in a process of its own."""
    return run_old_kafka_python("2.0.2", "consume", address, topic, str(count)).encode().splitlines()


def read_with_kafka_python_2_2(address: str, topic: str, count: int) -> list[bytes]:
    """The first ``count`` values of partition 0, with kafka-python 2.2, in a process of its own."""
    return run_old_kafka_python("2.2.21", "consume", address, topic, str(count)).encode().splitlines()


def _gather(count: int, poll: Callable[[], list[bytes]]) -> list[bytes]:
    values: list[bytes] = []
    deadline = time.monotonic() + CLIENT_SECONDS
    while len(values) < count and time.monotonic() < deadline:
        values += poll()
    return values
