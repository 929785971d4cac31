//! What a client may do, as the bit fields of Metadata, DescribeCluster and DescribeTopicPartitions.
//!
//! There is no authorizer, so everybody may do everything that the kind of resource knows; it is said only when asked.

use chronik_wire::messages::common::OPERATIONS_UNKNOWN;

/// Create, alter, describe, cluster action, describe and alter configurations, idempotent write.
const CLUSTER: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;
/// Read, write, create, delete, alter, describe, describe and alter configurations.
const TOPIC: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

/// The operations on a group: read, delete, describe.
pub(crate) const GROUP: i32 = 1 << 3 | 1 << 6 | 1 << 8;

/// The operations on the cluster, if asked for.
pub(crate) fn cluster(asked: bool) -> i32 {
    if asked { CLUSTER } else { OPERATIONS_UNKNOWN }
}

/// The operations on a topic, if asked for.
pub(crate) fn topic(asked: bool) -> i32 {
    if asked { TOPIC } else { OPERATIONS_UNKNOWN }
}
