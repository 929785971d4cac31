"""chronik: a Kafka-protocol broker whose every replica serves reads that never lie about the end of the log.

    with chronik.Cluster(3) as cluster:
        cluster.create_topic("orders", partitions=1, replication_factor=3)
        ...                                   # any Kafka client, at cluster.bootstrap_servers

Importing does no work: threads and ports come with ``Cluster.start()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._chronik import Snapshot, __version__
from ._interception import Interception
from .cluster import Cluster
from .errors import (
    AddressError,
    ChronikError,
    ChronikWarning,
    ClusterStateError,
    ClusterTimeoutError,
    ForkError,
    HistoryError,
    InternalError,
    InvalidTypeError,
    InvalidValueError,
    KafkaError,
    NotFoundError,
    SystemRefusedError,
    TopicExistsError,
)
from .node import LogLine, Node

if TYPE_CHECKING:
    from .aio import AsyncCluster, AsyncInterception, AsyncNode

__all__ = [
    "AddressError",
    "AsyncCluster",
    "AsyncInterception",
    "AsyncNode",
    "ChronikError",
    "ChronikWarning",
    "Cluster",
    "ClusterStateError",
    "ClusterTimeoutError",
    "ForkError",
    "HistoryError",
    "Interception",
    "InternalError",
    "InvalidTypeError",
    "InvalidValueError",
    "KafkaError",
    "LogLine",
    "Node",
    "NotFoundError",
    "Snapshot",
    "SystemRefusedError",
    "TopicExistsError",
    "__version__",
]


def __getattr__(name: str) -> object:
    # asyncio costs more to import than all the rest, so the asynchronous twin is loaded when asked for.
    if name in ("AsyncCluster", "AsyncInterception", "AsyncNode"):
        from . import aio

        return getattr(aio, name)
    raise AttributeError(f"module 'chronik' has no attribute {name!r}")
