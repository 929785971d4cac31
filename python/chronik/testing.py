"""Helpers for tests: wait for conditions, ask one node directly, and record what clients see for the checker.

Nothing here needs a Kafka client. ``fetch_at`` shows one node's answer to one Fetch, which real clients hide.
``History`` is judged by the rules of every promise; ``Cluster.history`` fills one, ``Recording`` does so at addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._history import ClusterRecording, History, Operation, Recording, Verdict
from ._kafka import (
    Connection,
    FetchPartition,
    FetchResult,
    ListOffsetsResult,
    MetadataResult,
    ProduceResult,
    ProducerIdentity,
    Record,
    decode_records,
    encode_batch,
)
from ._waiting import wait_for

if TYPE_CHECKING:
    from .node import Node

__all__ = [
    "ClusterRecording",
    "Connection",
    "FetchPartition",
    "FetchResult",
    "History",
    "ListOffsetsResult",
    "MetadataResult",
    "Operation",
    "ProduceResult",
    "ProducerIdentity",
    "Record",
    "Recording",
    "Verdict",
    "decode_records",
    "encode_batch",
    "fetch_at",
    "list_offsets_at",
    "wait_for",
]


def _address(node: Node | str) -> str:
    return node if isinstance(node, str) else node.bootstrap_servers


def fetch_at(
    node: Node | str,
    topic: str,
    offset: int = 0,
    *,
    partition: int = 0,
    wait_ms: int = 500,
    isolation: int = 0,
    rack: str = "",
    leader_epoch: int = -1,
    max_bytes: int = 1 << 20,
    timeout: float = 10.0,
) -> FetchResult:
    """One Fetch (version 11) at one node, given as a Node or ``host:port``; whoever leads, this node answers.

    ``isolation`` is 0 for read_uncommitted, 1 for read_committed. The result has ``error_code``, the watermarks,
    ``preferred_read_replica``, ``records`` and ``values``; an error code is returned, not raised.
    """
    with Connection(_address(node), timeout=timeout) as connection:
        return connection.fetch(
            topic,
            offset,
            partition=partition,
            max_wait_ms=wait_ms,
            isolation=isolation,
            rack=rack,
            leader_epoch=leader_epoch,
            max_bytes=max_bytes,
        )


def list_offsets_at(
    node: Node | str,
    topic: str,
    timestamp: int = -1,
    *,
    partition: int = 0,
    isolation: int = 0,
    timeout: float = 10.0,
) -> ListOffsetsResult:
    """One ListOffsets (version 5) at one node; ``timestamp`` -1 asks for the end, -2 for the start."""
    with Connection(_address(node), timeout=timeout) as connection:
        return connection.list_offsets(topic, timestamp, partition=partition, isolation=isolation)
