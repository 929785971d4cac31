"""A very small Kafka client in pure Python: one connection, one request at a time.

For tests and reports, not for work: it says exactly what one node answered to one request (error code, watermarks,
preferred replica), which real clients hide. It follows no leader, retries nothing and keeps no metadata. Versions are
the newest that are not flexible, which every broker since Kafka 2.3 offers.
"""

from .batch import Record, decode_records, encode_batch
from .client import Connection, parse_address
from .messages import (
    BrokerInfo,
    FetchPartition,
    FetchResult,
    ListOffsetsResult,
    MetadataResult,
    PartitionInfo,
    ProduceResult,
    ProducerIdentity,
    TopicInfo,
)

__all__ = [
    "BrokerInfo",
    "Connection",
    "FetchPartition",
    "FetchResult",
    "ListOffsetsResult",
    "MetadataResult",
    "PartitionInfo",
    "ProduceResult",
    "ProducerIdentity",
    "Record",
    "TopicInfo",
    "decode_records",
    "encode_batch",
    "parse_address",
]
