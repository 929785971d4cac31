"""A real idempotent producer that writes on in the background, whatever happens."""

from __future__ import annotations

import itertools
import threading

from kafka import KafkaProducer


class IdempotentSends:
    """A kafka-python producer, idempotent by default, that sends in the background until the block ends."""

    def __init__(self, address: str, topic: str) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=address,
            request_timeout_ms=5000,
            delivery_timeout_ms=60_000,
            retry_backoff_ms=20,
            reconnect_backoff_ms=20,
            reconnect_backoff_max_ms=200,
            metadata_max_age_ms=2000,
        )
        self._topic = topic
        self._ended = threading.Event()
        self._futures: list[tuple[bytes, object]] = []
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> IdempotentSends:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)
        self._producer.close(timeout=30)

    def _send(self) -> None:
        for number in itertools.count():
            if self._ended.is_set():
                return
            value = b"%08d" % number
            self._futures.append((value, self._producer.send(self._topic, value, partition=0)))
            self._ended.wait(0.001)

    def acknowledged(self) -> list[bytes]:
        return [value for value, future in list(self._futures) if future.is_done and future.succeeded()]

    def finish(self) -> list[bytes]:
        """The values sent, all of which must have been acknowledged."""
        self._ended.set()
        self._thread.join(30)
        for value, future in self._futures:
            try:
                future.get(timeout=60)
            except Exception as error:
                raise AssertionError(f"{value!r} was not acknowledged: {error!r}") from error
        return [value for value, _ in self._futures]
