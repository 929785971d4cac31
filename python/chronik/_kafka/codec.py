"""The primitive types of the Kafka protocol, non-flexible form: writing and bounded reading."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..errors import ChronikError

T = TypeVar("T")

_INT8 = struct.Struct(">b")
_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")


class DecodeError(ChronikError):
    """Bytes that are no valid answer."""


class Writer:
    """Collects the bytes of a request; every method returns the writer."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def int8(self, value: int) -> Writer:
        self._parts.append(_INT8.pack(value))
        return self

    def int16(self, value: int) -> Writer:
        self._parts.append(_INT16.pack(value))
        return self

    def int32(self, value: int) -> Writer:
        self._parts.append(_INT32.pack(value))
        return self

    def int64(self, value: int) -> Writer:
        self._parts.append(_INT64.pack(value))
        return self

    def string(self, value: str | None) -> Writer:
        if value is None:
            return self.int16(-1)
        encoded = value.encode()
        self.int16(len(encoded))
        self._parts.append(encoded)
        return self

    def data(self, value: bytes | None) -> Writer:
        if value is None:
            return self.int32(-1)
        self.int32(len(value))
        self._parts.append(value)
        return self

    def array(self, values: Sequence[T] | None, write: Callable[[Writer, T], object]) -> Writer:
        if values is None:
            return self.int32(-1)
        self.int32(len(values))
        for value in values:
            write(self, value)
        return self

    def finish(self) -> bytes:
        return b"".join(self._parts)


class Reader:
    """Reads an answer from the front; every length is checked against what remains."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def remaining(self) -> int:
        return len(self._body) - self._at

    def take(self, length: int) -> bytes:
        if length < 0 or length > self.remaining:
            raise DecodeError(f"length {length} does not fit the {self.remaining} bytes that remain")
        taken = self._body[self._at : self._at + length]
        self._at += length
        return taken

    def boolean(self) -> bool:
        return self.int8() != 0

    def int8(self) -> int:
        return int(_INT8.unpack(self.take(1))[0])

    def int16(self) -> int:
        return int(_INT16.unpack(self.take(2))[0])

    def int32(self) -> int:
        return int(_INT32.unpack(self.take(4))[0])

    def int64(self) -> int:
        return int(_INT64.unpack(self.take(8))[0])

    def string(self) -> str | None:
        length = self.int16()
        return None if length == -1 else self.take(length).decode()

    def name(self) -> str:
        """A string that must be there."""
        value = self.string()
        if value is None:
            raise DecodeError("a string that must not be null is null")
        return value

    def data(self) -> bytes | None:
        length = self.int32()
        return None if length == -1 else self.take(length)

    def array(self, read: Callable[[Reader], T]) -> list[T]:
        """An array; null reads as empty."""
        length = self.int32()
        if length > self.remaining:
            raise DecodeError(f"array of {length} does not fit the {self.remaining} bytes that remain")
        return [read(self) for _ in range(max(length, 0))]

    def varint(self) -> int:
        """A zigzag number of the record format."""
        shift = value = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
            if shift > 63:
                raise DecodeError("varint longer than 10 bytes")


def zigzag(value: int) -> bytes:
    """The variable-length form of the record format."""
    encoded = bytearray()
    value = (value << 1) ^ (value >> 63)
    while value > 0x7F:
        encoded.append((value & 0x7F) | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
