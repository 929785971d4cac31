"""The raw connection, recorded: each call is one event, with everything the answer claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._kafka import Connection, FetchResult, ListOffsetsResult, ProduceResult
from .._kafka.client import LATEST
from ..errors import ChronikError

if TYPE_CHECKING:
    from .events import History, Operation

ACKS_ALL = -1
ISOLATIONS = ("read_uncommitted", "read_committed")
SENT_AND_UNKNOWN = {7, 20}
"""Codes of Produce after which the batch may or may not stay."""


class RecordedConnection:
    """A ``Connection`` whose produces, fetches and questions for offsets are noted; they do as before."""

    def __init__(self, connection: Connection, history: History, client: str, node: int | None) -> None:
        """Made by ``History.wrap``; ``node`` is the one at the other end."""
        self._connection = connection
        self._history = history
        self._client = client
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def produce(
        self, topic: str, values: Sequence[bytes], *, partition: int = 0, acks: int = ACKS_ALL, timeout_ms: int = 10_000
    ) -> ProduceResult:
        """Produces one batch of values. Without an answer its outcome is unknown."""
        operation = self._begin(
            "send", topic, partition, {"values": [as_text(value) for value in values], "acks": acks}
        )
        try:
            answer = self._connection.produce(topic, values, partition=partition, acks=acks, timeout_ms=timeout_ms)
        except ChronikError:
            operation.info()
            raise
        if answer.error_code == 0:
            operation.ok({"offset": answer.base_offset})
        elif answer.error_code in SENT_AND_UNKNOWN:
            operation.info(answer.error_code)
        else:
            operation.fail(answer.error_code)
        return answer

    def fetch(
        self,
        topic: str,
        offset: int = 0,
        *,
        partition: int = 0,
        max_wait_ms: int = 0,
        isolation: int = 0,
        max_bytes: int = 1 << 20,
    ) -> FetchResult:
        """Fetches one partition. A read without an answer says nothing, so it is not noted."""
        asked = {"offset": offset, "isolation": ISOLATIONS[isolation], "max_wait_ms": max_wait_ms}
        operation = self._begin("fetch", topic, partition, asked)
        answer = self._connection.fetch(
            topic, offset, partition=partition, max_wait_ms=max_wait_ms, isolation=isolation, max_bytes=max_bytes
        )
        operation.answered()
        result = _fetched(answer, offset)
        if answer.error_code == 0:
            operation.ok(result)
        else:
            operation.fail(answer.error_code, result)
        return answer

    def list_offsets(
        self, topic: str, timestamp: int = LATEST, *, partition: int = 0, isolation: int = 0
    ) -> ListOffsetsResult:
        """Asks for an offset by time; -1 is the end, -2 the start."""
        asked = {"timestamp": timestamp, "isolation": ISOLATIONS[isolation]}
        operation = self._begin("list", topic, partition, asked)
        answer = self._connection.list_offsets(topic, timestamp, partition=partition, isolation=isolation)
        if answer.error_code == 0:
            operation.ok({"offset": answer.offset})
        else:
            operation.fail(answer.error_code)
        return answer

    def assign(self, topic: str, position: int, *, partition: int = 0) -> None:
        """Notes that this client reads on from here: its fetches that follow must join without a gap."""
        self._begin("assign", topic, partition, {"position": position}).ok()

    def _begin(self, op: str, topic: str, partition: int, args: dict[str, Any]) -> Operation:
        return self._history.begin(op, client=self._client, key=f"{topic}/{partition}", node=self._node, args=args)


def position_after(answer: FetchResult, offset: int) -> int:
    """Where a reader goes on that asked for this offset."""
    return max([offset, *(record.offset + 1 for record in answer.records)])


def _fetched(answer: FetchResult, offset: int) -> dict[str, Any]:
    # A batch is fetched whole: what lies before the offset asked for is not what the reader wanted.
    records = [(record.offset, as_text(record.value)) for record in answer.records if record.offset >= offset]
    result: dict[str, Any] = {
        "hw": answer.high_watermark,
        "lso": answer.last_stable_offset,
        "log_start": answer.log_start_offset,
        "records": records,
        "next": records[-1][0] + 1 if records else offset,
    }
    if answer.preferred_read_replica >= 0:
        result["preferred"] = answer.preferred_read_replica
    return result


def as_text(value: object) -> str:
    """A value as the history has it."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode(errors="backslashreplace")
    return "" if value is None else str(value)
