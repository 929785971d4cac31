"""Record batches, format 2: building an uncompressed one, reading what a Fetch returned."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from .codec import DecodeError, Reader, zigzag

# base offset, length, leader epoch, magic, crc, attributes, last offset delta, base and max timestamp,
# producer id and epoch, base sequence, record count.
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CHECKED: Final = struct.Struct(">hiqqqhii")
_CRC_FROM: Final = 21
_CONTROL: Final = 0x20
_COMPRESSION: Final = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


@dataclass(frozen=True)
class Record:
    """One record as a Fetch returned it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: tuple[tuple[str, bytes | None], ...] = ()
    leader_epoch: int = -1
    is_control: bool = False


def _crc_table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def _slow_crc32c() -> Callable[[bytes], int]:
    table = _crc_table()

    def crc32c(data: bytes) -> int:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
        return crc ^ 0xFFFFFFFF

    return crc32c


try:
    from crc32c import crc32c
except ImportError:
    crc32c = _slow_crc32c()


def encode_batch(
    values: Sequence[bytes],
    *,
    key: bytes | None = None,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    timestamp_ms: int | None = None,
) -> bytes:
    """One uncompressed batch of the given values."""
    now_ms = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    records = bytearray()
    for delta, value in enumerate(values):
        key_bytes = zigzag(-1) if key is None else zigzag(len(key)) + key
        body = b"\x00" + zigzag(0) + zigzag(delta) + key_bytes + zigzag(len(value)) + value + zigzag(0)
        records += zigzag(len(body)) + body
    count = len(values)
    checked = _CHECKED.pack(0, count - 1, now_ms, now_ms, producer_id, producer_epoch, base_sequence, count)
    checked += bytes(records)
    head = struct.pack(">qiibI", 0, len(checked) + 9, -1, 2, crc32c(checked))
    return head + checked


def decode_records(data: bytes) -> list[Record]:
    """The records of all whole batches; a part of a batch at the end is left out, as Kafka clients do.

    Raises DecodeError when a CRC is wrong or a batch is compressed with anything but gzip.
    """
    records: list[Record] = []
    at = 0
    while len(data) - at >= _HEADER.size:
        length = 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        if len(data) - at < length:
            break
        records += _decode_batch(data[at : at + length])
        at += length
    return records


def _decode_batch(batch: bytes) -> list[Record]:
    base, _, epoch, magic, crc, attributes, _, base_ms, _, _, _, _, count = _HEADER.unpack_from(batch)
    if magic != 2:
        raise DecodeError(f"batch at offset {base} has format {magic}; only 2 is read here")
    if crc32c(batch[_CRC_FROM:]) != crc:
        raise DecodeError(f"batch at offset {base} fails its CRC")
    body = batch[_HEADER.size :]
    compression = _COMPRESSION.get(attributes & 7, "unknown")
    if compression == "gzip":
        body = gzip.decompress(body)
    elif compression != "none":
        raise DecodeError(f"batch at offset {base} is compressed with {compression}; read it with a Kafka client")
    reader = Reader(body)
    return [_decode_record(reader, base, base_ms, epoch, bool(attributes & _CONTROL)) for _ in range(count)]


def _decode_record(outer: Reader, base: int, base_ms: int, epoch: int, is_control: bool) -> Record:
    reader = Reader(outer.take(outer.varint()))
    reader.int8()
    timestamp_ms = base_ms + reader.varint()
    offset = base + reader.varint()
    key, value = _nullable(reader), _nullable(reader)
    headers = []
    for _ in range(reader.varint()):
        name = _nullable(reader) or b""
        headers.append((name.decode(), _nullable(reader)))
    return Record(offset, key, value, timestamp_ms, tuple(headers), epoch, is_control)


def _nullable(reader: Reader) -> bytes | None:
    length = reader.varint()
    return None if length < 0 else reader.take(length)
