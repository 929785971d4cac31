"""The requests the small client speaks: how each is written and its answer read.

Each function pair names key and version; the versions are the newest non-flexible ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .batch import Record, decode_records
from .codec import Reader, Writer


@dataclass(frozen=True)
class BrokerInfo:
    """A broker as Metadata lists it."""

    node_id: int
    host: str
    port: int
    rack: str | None


@dataclass(frozen=True)
class PartitionInfo:
    """A partition as Metadata lists it; ``leader`` is -1 while none is known."""

    error_code: int
    index: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True)
class TopicInfo:
    """A topic as Metadata lists it."""

    error_code: int
    name: str
    is_internal: bool
    partitions: tuple[PartitionInfo, ...]


@dataclass(frozen=True)
class MetadataResult:
    """The answer of one node about the cluster."""

    brokers: tuple[BrokerInfo, ...]
    cluster_id: str | None
    controller_id: int
    topics: tuple[TopicInfo, ...]


@dataclass(frozen=True)
class FetchPartition:
    """Where to fetch from."""

    topic: str
    partition: int = 0
    offset: int = 0
    leader_epoch: int = -1
    max_bytes: int = 1 << 20


@dataclass(frozen=True)
class FetchResult:
    """The answer of one node for one partition. Watermarks are -1 in an error answer."""

    topic: str
    partition: int
    error_code: int
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    preferred_read_replica: int
    data: bytes
    data_was_null: bool

    @property
    def records(self) -> list[Record]:
        """The records, control records left out."""
        return [record for record in decode_records(self.data) if not record.is_control]

    @property
    def values(self) -> list[bytes | None]:
        """The values of the records."""
        return [record.value for record in self.records]


@dataclass(frozen=True)
class ListOffsetsResult:
    """The answer of one node for one partition."""

    error_code: int
    timestamp_ms: int
    offset: int
    leader_epoch: int


@dataclass(frozen=True)
class ProduceResult:
    """The answer for one batch."""

    error_code: int
    base_offset: int
    log_start_offset: int


@dataclass(frozen=True)
class ProducerIdentity:
    """What InitProducerId gave."""

    error_code: int
    producer_id: int
    producer_epoch: int


def metadata_request(topics: Sequence[str] | None, *, create: bool = False) -> bytes:
    """Metadata (key 3), version 7."""
    return Writer().array(topics, Writer.string).int8(int(create)).finish()


def metadata_response(reader: Reader) -> MetadataResult:
    reader.int32()
    brokers = reader.array(lambda r: BrokerInfo(r.int32(), r.name(), r.int32(), r.string()))
    cluster_id, controller_id = reader.string(), reader.int32()
    return MetadataResult(tuple(brokers), cluster_id, controller_id, tuple(reader.array(_topic)))


def _topic(reader: Reader) -> TopicInfo:
    error_code, name, is_internal = reader.int16(), reader.name(), reader.boolean()
    return TopicInfo(error_code, name, is_internal, tuple(reader.array(_partition)))


def _partition(reader: Reader) -> PartitionInfo:
    error_code, index, leader, epoch = reader.int16(), reader.int32(), reader.int32(), reader.int32()
    replicas, in_sync = reader.array(Reader.int32), reader.array(Reader.int32)
    reader.array(Reader.int32)
    return PartitionInfo(error_code, index, leader, epoch, tuple(replicas), tuple(in_sync))


def create_topic_request(
    name: str, partitions: int, replication_factor: int, config: Mapping[str, str], timeout_ms: int
) -> bytes:
    """CreateTopics (key 19), version 3, of one topic."""
    writer = Writer().int32(1).string(name).int32(partitions).int16(replication_factor).int32(0)
    writer.array(list(config.items()), lambda w, item: w.string(item[0]).string(item[1]))
    return writer.int32(timeout_ms).int8(0).finish()


def create_topic_response(reader: Reader) -> tuple[int, str | None]:
    reader.int32()
    return reader.array(lambda r: (r.name(), r.int16(), r.string()))[0][1:]


def delete_topic_request(name: str, timeout_ms: int) -> bytes:
    """DeleteTopics (key 20), version 3, of one topic."""
    return Writer().array([name], Writer.string).int32(timeout_ms).finish()


def delete_topic_response(reader: Reader) -> int:
    reader.int32()
    return reader.array(lambda r: (r.name(), r.int16()))[0][1]


def produce_request(topic: str, partition: int, batch: bytes, acks: int, timeout_ms: int) -> bytes:
    """Produce (key 0), version 7, of one batch."""
    writer = Writer().string(None).int16(acks).int32(timeout_ms)
    return writer.int32(1).string(topic).int32(1).int32(partition).data(batch).finish()


def produce_response(reader: Reader) -> ProduceResult:
    def read(r: Reader) -> ProduceResult:
        r.int32()
        error_code, base_offset, _, log_start = r.int16(), r.int64(), r.int64(), r.int64()
        return ProduceResult(error_code, base_offset, log_start)

    return reader.array(lambda r: (r.name(), r.array(read)))[0][1][0]


def fetch_request(
    partitions: Sequence[FetchPartition], *, max_wait_ms: int, min_bytes: int, isolation: int, rack: str
) -> bytes:
    """Fetch (key 1), version 11, without a session."""
    writer = Writer().int32(-1).int32(max_wait_ms).int32(min_bytes).int32(50 << 20).int8(isolation).int32(0).int32(-1)
    by_topic: dict[str, list[FetchPartition]] = {}
    for wanted in partitions:
        by_topic.setdefault(wanted.topic, []).append(wanted)
    writer.int32(len(by_topic))
    for topic, entries in by_topic.items():
        writer.string(topic).int32(len(entries))
        for entry in entries:
            writer.int32(entry.partition).int32(entry.leader_epoch).int64(entry.offset).int64(-1).int32(entry.max_bytes)
    return writer.int32(0).string(rack).finish()


def fetch_response(reader: Reader) -> tuple[int, list[FetchResult]]:
    """The top-level error and one result per partition."""
    reader.int32()
    error_code = reader.int16()
    reader.int32()
    results: list[FetchResult] = []
    for _ in range(reader.int32()):
        topic = reader.name()
        results += reader.array(lambda r, name=topic: _fetched(r, name))  # type: ignore[misc]
    return error_code, results


def _fetched(reader: Reader, topic: str) -> FetchResult:
    partition, error_code = reader.int32(), reader.int16()
    high_watermark, last_stable, log_start = reader.int64(), reader.int64(), reader.int64()
    reader.array(lambda r: (r.int64(), r.int64()))
    preferred, data = reader.int32(), reader.data()
    return FetchResult(
        topic, partition, error_code, high_watermark, last_stable, log_start, preferred, data or b"", data is None
    )


def list_offsets_request(topic: str, partition: int, timestamp: int, isolation: int) -> bytes:
    """ListOffsets (key 2), version 5, of one partition."""
    writer = Writer().int32(-1).int8(isolation).int32(1).string(topic).int32(1)
    return writer.int32(partition).int32(-1).int64(timestamp).finish()


def list_offsets_response(reader: Reader) -> ListOffsetsResult:
    def read(r: Reader) -> ListOffsetsResult:
        r.int32()
        return ListOffsetsResult(r.int16(), r.int64(), r.int64(), r.int32())

    reader.int32()
    return reader.array(lambda r: (r.name(), r.array(read)))[0][1][0]


def init_producer_id_request() -> bytes:
    """InitProducerId (key 22), version 1, without a transaction."""
    return Writer().string(None).int32(60_000).finish()


def init_producer_id_response(reader: Reader) -> ProducerIdentity:
    reader.int32()
    return ProducerIdentity(reader.int16(), reader.int64(), reader.int16())


def api_versions_response(reader: Reader) -> tuple[int, dict[int, tuple[int, int]]]:
    """ApiVersions (key 18), version 0; the request has no body."""
    error_code = reader.int16()
    return error_code, {
        key: (low, high) for key, low, high in reader.array(lambda r: (r.int16(), r.int16(), r.int16()))
    }
