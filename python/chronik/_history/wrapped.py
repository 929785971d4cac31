"""kafka-python's producers and consumers, recorded: what they send and return is noted, what they do is unchanged.

A consumer of that library tells its records and nothing about the end of the log, so these are checked: order, holes,
values, repetitions. What it fetched ahead is noted when ``poll`` hands it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .._kafka import Connection
from ..errors import InvalidTypeError, InvalidValueError
from .connections import RecordedConnection, as_text

if TYPE_CHECKING:
    from .events import History


class RecordedProducer:
    """A ``KafkaProducer`` whose sends are noted; everything else is the producer's own."""

    def __init__(self, producer: Any, history: History, client: str) -> None:
        """Made by ``History.wrap``."""
        self._producer = producer
        self._history = history
        self._client = client
        config = producer.config
        self._repeats = bool(config.get("retries")) and not config.get("enable_idempotence")
        self._acks = -1 if config["acks"] == "all" else int(config["acks"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def send(
        self, topic: str, value: bytes | None = None, *more: Any, partition: int | None = None, **named: Any
    ) -> Any:
        """Sends and notes one record; the partition must be named unless the topic has only one."""
        if partition is None:
            partition = self._only_partition(topic)
        args: dict[str, Any] = {"values": [as_text(value)], "acks": self._acks}
        if self._repeats:
            args["may_repeat"] = True
        operation = self._history.begin("send", client=self._client, key=f"{topic}/{partition}", args=args)
        try:
            future = self._producer.send(topic, value, *more, partition=partition, **named)
        except BaseException:
            operation.info()
            raise
        future.add_callback(lambda metadata: operation.ok({"offset": metadata.offset}))
        # The library may have sent it several times and tells the last outcome only: an earlier one may have stayed.
        future.add_errback(lambda _: operation.info())
        return future

    def _only_partition(self, topic: str) -> int:
        partitions = self._producer.partitions_for(topic)
        if len(partitions) != 1:
            raise InvalidValueError(f"partition=None for {topic}, which has {len(partitions)}; name one of them")
        return int(next(iter(partitions)))


class RecordedConsumer:
    """A ``KafkaConsumer`` whose records are noted; everything else is the consumer's own."""

    def __init__(self, consumer: Any, history: History, client: str) -> None:
        """Made by ``History.wrap``."""
        self._consumer = consumer
        self._history = history
        self._client = client
        self._isolation = consumer.config.get("isolation_level", "read_uncommitted")
        self._positions: dict[Any, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def assign(self, partitions: Any) -> None:
        """Assigns; reading begins anew."""
        self._consumer.assign(partitions)
        self._positions.clear()

    def seek(self, partition: Any, offset: int) -> None:
        """Seeks; reading goes on there."""
        self._consumer.seek(partition, offset)
        self._assign(partition, offset)

    def seek_to_beginning(self, *partitions: Any) -> Any:
        """Seeks; reading goes on at the first record that comes."""
        self._positions.clear()
        return self._consumer.seek_to_beginning(*partitions)

    def seek_to_end(self, *partitions: Any) -> Any:
        """Seeks; reading goes on at the first record that comes."""
        self._positions.clear()
        return self._consumer.seek_to_end(*partitions)

    def poll(self, *args: Any, **named: Any) -> Any:
        """Polls and notes what came."""
        asked = self._history.now()
        polled = self._consumer.poll(*args, **named)
        self._note(asked, polled)
        return polled

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        from kafka import TopicPartition

        asked = self._history.now()
        record = next(self._consumer)
        self._note(asked, {TopicPartition(record.topic, record.partition): [record]})
        return record

    def _note(self, asked: int, polled: Mapping[Any, list[Any]]) -> None:
        for partition, records in polled.items():
            if partition not in self._positions:
                self._assign(partition, records[0].offset)
            operation = self._history.begin(
                "fetch",
                client=self._client,
                key=f"{partition.topic}/{partition.partition}",
                args={"offset": self._positions[partition], "isolation": self._isolation},
                at_ns=asked,
            )
            operation.ok({"records": [(record.offset, as_text(record.value)) for record in records]})
            self._positions[partition] = records[-1].offset + 1

    def _assign(self, partition: Any, offset: int) -> None:
        self._positions[partition] = offset
        key = f"{partition.topic}/{partition.partition}"
        self._history.begin("assign", client=self._client, key=key, args={"position": offset}).ok()


def wrap(client: Any, history: History, name: str | None, node: int | None) -> Any:
    """The recorded twin of a client."""
    if isinstance(client, Connection):
        return RecordedConnection(client, history, name or client.client_id, node)
    if hasattr(client, "send") and hasattr(client, "partitions_for"):
        return RecordedProducer(client, history, name or client.config["client_id"])
    if hasattr(client, "poll") and hasattr(client, "seek"):
        return RecordedConsumer(client, history, name or client.config["client_id"])
    raise InvalidTypeError(
        f"client={client!r} is neither a Connection nor a KafkaProducer or KafkaConsumer of kafka-python"
    )
