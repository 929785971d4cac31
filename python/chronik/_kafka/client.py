"""One connection to one node: what you ask is what that node answers."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Mapping, Sequence
from types import TracebackType

from ..errors import AddressError, ClusterTimeoutError, KafkaError
from . import messages
from .batch import encode_batch
from .codec import DecodeError, Reader, Writer
from .messages import FetchPartition, FetchResult, ListOffsetsResult, MetadataResult, ProduceResult, ProducerIdentity

_FRAME_BYTES_MAX = 100 << 20
LATEST = -1
EARLIEST = -2


def parse_address(address: str) -> tuple[str, int]:
    """The first ``host:port`` of a bootstrap string."""
    host, _, port = address.split(",", maxsplit=1)[0].strip().rpartition(":")
    if not host or not port.isdigit():
        raise AddressError(f"address {address!r} is not host:port")
    return host.strip("[]"), int(port)


class Connection:
    """A connection to one node. Not for several threads at once; a context manager."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 10.0,
        client_id: str = "chronik-testing",
        source_host: str | None = None,
    ) -> None:
        """Connects to ``host:port``; ``timeout`` bounds connecting and every answer, in seconds.

        ``source_host`` is the local address to connect from: brokers limit connections by address.
        """
        self.address = address
        self.client_id = client_id
        self._correlation = 0
        try:
            source = None if source_host is None else (source_host, 0)
            self.socket = socket.create_connection(parse_address(address), timeout=timeout, source_address=source)
        except OSError as error:
            raise AddressError(f"cannot connect to {address}: {error}") from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; twice is fine."""
        self.socket.close()

    def abort(self) -> None:
        """Ends the connection under whoever waits for its answer, who gets an ``AddressError``; any thread may."""
        # A socket that is closed under its reader leaves it waiting, and its number may be another's by then.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def send(self, key: int, version: int, body: bytes) -> int:
        """Sends one request and returns its correlation id."""
        self._correlation += 1
        header = Writer().int16(key).int16(version).int32(self._correlation).string(self.client_id).finish()
        try:
            self.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        except OSError as error:
            raise AddressError(f"lost the connection to {self.address}: {error}") from error
        return self._correlation

    def receive(self, correlation: int) -> Reader:
        """The next answer, which must be that of ``correlation``."""
        length = struct.unpack(">i", self._exactly(4))[0]
        if not 4 <= length <= _FRAME_BYTES_MAX:
            raise DecodeError(f"answer of {length} bytes from {self.address}")
        reader = Reader(self._exactly(length))
        if (got := reader.int32()) != correlation:
            raise DecodeError(f"answer {got} from {self.address} where {correlation} was due")
        return reader

    def call(self, key: int, version: int, body: bytes) -> Reader:
        """One request and its answer."""
        return self.receive(self.send(key, version, body))

    def _exactly(self, length: int) -> bytes:
        try:
            data = self.socket.recv(length)
            while len(data) < length:
                more = self.socket.recv(min(length - len(data), 1 << 20))
                if not more:
                    raise AddressError(f"{self.address} closed the connection")
                data += more
        except TimeoutError as error:
            raise ClusterTimeoutError(f"no answer from {self.address} in {self.socket.gettimeout()} s") from error
        except AddressError:
            raise
        except OSError as error:
            raise AddressError(f"lost the connection to {self.address}: {error}") from error
        return data

    def api_versions(self) -> dict[int, tuple[int, int]]:
        """Lowest and highest version per API key."""
        error_code, versions = messages.api_versions_response(self.call(18, 0, b""))
        _raise_for(error_code, f"ApiVersions at {self.address}")
        return versions

    def metadata(self, topics: Sequence[str] | None = None) -> MetadataResult:
        """What the node says about the cluster; ``None`` means all topics. Creates none."""
        return messages.metadata_response(self.call(3, 7, messages.metadata_request(topics)))

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication_factor: int = -1,
        config: Mapping[str, str] | None = None,
        *,
        timeout_ms: int = 10_000,
    ) -> None:
        """Creates a topic; KafkaError with its code otherwise."""
        body = messages.create_topic_request(name, partitions, replication_factor, config or {}, timeout_ms)
        error_code, text = messages.create_topic_response(self.call(19, 3, body))
        _raise_for(error_code, f"creating topic {name}: {text}" if text else f"creating topic {name}")

    def delete_topic(self, name: str, *, timeout_ms: int = 10_000) -> None:
        """Deletes a topic; KafkaError with its code otherwise."""
        body = messages.delete_topic_request(name, timeout_ms)
        _raise_for(messages.delete_topic_response(self.call(20, 3, body)), f"deleting topic {name}")

    def produce(
        self,
        topic: str,
        values: Sequence[bytes] = (),
        *,
        partition: int = 0,
        batch: bytes | None = None,
        acks: int = -1,
        timeout_ms: int = 10_000,
    ) -> ProduceResult:
        """Produces one batch of values, or a batch made with ``encode_batch``."""
        data = encode_batch(values) if batch is None else batch
        correlation = self.start_produce(topic, data, partition=partition, acks=acks, timeout_ms=timeout_ms)
        return ProduceResult(0, -1, -1) if acks == 0 else self.finish_produce(correlation)

    def start_produce(
        self, topic: str, batch: bytes, *, partition: int = 0, acks: int = -1, timeout_ms: int = 10_000
    ) -> int:
        """Sends a batch and does not wait; give what is returned to ``finish_produce``, in the order of the sends."""
        return self.send(0, 7, messages.produce_request(topic, partition, batch, acks, timeout_ms))

    def finish_produce(self, correlation: int) -> ProduceResult:
        """The answer to a batch that was sent with ``start_produce``."""
        return messages.produce_response(self.receive(correlation))

    def fetch(
        self,
        topic: str,
        offset: int = 0,
        *,
        partition: int = 0,
        max_wait_ms: int = 0,
        min_bytes: int = 1,
        isolation: int = 0,
        rack: str = "",
        leader_epoch: int = -1,
        max_bytes: int = 1 << 20,
    ) -> FetchResult:
        """Fetches one partition from this very node, whoever leads it."""
        wanted = FetchPartition(topic, partition, offset, leader_epoch, max_bytes)
        return self.fetch_many([wanted], max_wait_ms=max_wait_ms, min_bytes=min_bytes, isolation=isolation, rack=rack)[
            0
        ]

    def fetch_many(
        self,
        partitions: Sequence[FetchPartition],
        *,
        max_wait_ms: int = 0,
        min_bytes: int = 1,
        isolation: int = 0,
        rack: str = "",
    ) -> list[FetchResult]:
        """Fetches several partitions in one request."""
        body = messages.fetch_request(
            partitions, max_wait_ms=max_wait_ms, min_bytes=min_bytes, isolation=isolation, rack=rack
        )
        error_code, results = messages.fetch_response(self.call(1, 11, body))
        _raise_for(error_code, f"Fetch at {self.address}")
        return results

    def list_offsets(
        self, topic: str, timestamp: int = LATEST, *, partition: int = 0, isolation: int = 0
    ) -> ListOffsetsResult:
        """ListOffsets at this very node; ``timestamp`` -1 is the end, -2 the start."""
        body = messages.list_offsets_request(topic, partition, timestamp, isolation)
        return messages.list_offsets_response(self.call(2, 5, body))

    def init_producer_id(self) -> ProducerIdentity:
        """An identity for an idempotent producer."""
        return messages.init_producer_id_response(self.call(22, 1, messages.init_producer_id_request()))


def _raise_for(error_code: int, doing: str) -> None:
    if error_code != 0:
        raise KafkaError(f"{doing}: Kafka error {error_code}", error_code)
