"""Real clients beside the raw ones: an idempotent kafka-python producer, and a consumer in every rack."""

from __future__ import annotations

import itertools
import threading
import traceback
from collections.abc import Callable
from functools import partial

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from chronik.testing import History

from .servers import NODES, Servers

DELIVERY_MS = 120_000
IN_FLIGHT_MAX = 200
SEND_PAUSE_SECONDS = 0.004
POLL_MS = 200
CLOSE_SECONDS = 60.0
QUICKLY = {
    "request_timeout_ms": 5000,
    "retry_backoff_ms": 20,
    "reconnect_backoff_ms": 20,
    "reconnect_backoff_max_ms": 200,
    "metadata_max_age_ms": 2000,
}


class RealClients:
    """The clients, each with its thread, until the block ends. `failures` are sends the producer gave up."""

    def __init__(self, servers: Servers, history: History, topic: str) -> None:
        self._servers = servers
        self._history = history
        self._topic = topic
        self._ended = threading.Event()
        self._room = threading.BoundedSemaphore(IN_FLIGHT_MAX)
        self.sent = 0
        self.consumed = 0
        self.failures: list[str] = []
        work: list[tuple[str, Callable[[], None]]] = [("producer", self._produce)]
        work += [(f"rack-{id}", partial(self._consume, id)) for id in NODES]
        self._threads = [
            threading.Thread(target=self._guard, args=pair, name=f"chaos-{pair[0]}", daemon=True) for pair in work
        ]

    def __enter__(self) -> RealClients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(CLOSE_SECONDS + DELIVERY_MS / 1000)
            if thread.is_alive():
                self.failures.append(f"{thread.name} did not end")

    def _guard(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # a client that died proves nothing
            self.failures.append(f"{name} died: {traceback.format_exc()}")

    def _produce(self) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._servers.bootstrap_servers, delivery_timeout_ms=DELIVERY_MS, **QUICKLY
        )
        recorded = self._history.wrap(producer, client_name="kafka-python")
        try:
            for number in itertools.count():
                if self._ended.wait(SEND_PAUSE_SECONDS):
                    break
                if not self._room.acquire(timeout=0.1):
                    continue
                future = recorded.send(self._topic, b"kafka-python:%d" % number, partition=0)
                future.add_both(lambda _: self._room.release())
                future.add_errback(lambda error, number=number: self.failures.append(f"send {number}: {error!r}"))
                self.sent += 1
            producer.flush(timeout=DELIVERY_MS / 1000)
        finally:
            producer.close(timeout=CLOSE_SECONDS)

    def _consume(self, id: int) -> None:
        consumer = KafkaConsumer(
            bootstrap_servers=self._servers.bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            client_rack=f"rack-{id}",
            **QUICKLY,
        )
        recorded = self._history.wrap(consumer, client_name=f"kafka-python-rack-{id}")
        try:
            partition = TopicPartition(self._topic, 0)
            recorded.assign([partition])
            recorded.seek(partition, 0)
            while not self._ended.is_set():
                self.consumed += sum(map(len, recorded.poll(timeout_ms=POLL_MS).values()))
        finally:
            consumer.close()
