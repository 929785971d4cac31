//! DescribeCluster (key 60), versions 0-2: the cluster's id, controller and brokers. Java's admin client asks this.

use super::common::OPERATIONS_UNKNOWN;
use crate::error_code::ErrorCode;

message! {
    /// Asks about the cluster.
    pub struct DescribeClusterRequest [0..=2, flexible 0..] {
        /// Whether to list the operations the client may do on the cluster.
        include_cluster_authorized_operations: bool [0..],
        /// 1 asks for brokers, 2 for controllers.
        endpoint_type: i8 [1..] = 1,
        /// Whether to list fenced brokers as well.
        include_fenced_brokers: bool [2..],
    }

    /// The cluster.
    pub struct DescribeClusterResponse [0..=2, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the whole request.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// 1 for brokers, 2 for controllers.
        endpoint_type: i8 [1..] = 1,
        /// The cluster's id.
        cluster_id: String [0..],
        /// The controller's node id, or -1 if unknown.
        controller_id: i32 [0..] = -1,
        /// The live brokers.
        brokers: Vec<DescribeClusterBroker> [0..],
        /// The operations the client may do on the cluster, as a bit field.
        cluster_authorized_operations: i32 [0..] = OPERATIONS_UNKNOWN,
    }

    /// One broker.
    pub struct DescribeClusterBroker {
        /// The broker's node id.
        broker_id: i32 [0..],
        /// Its advertised host.
        host: String [0..],
        /// Its advertised port.
        port: i32 [0..],
        /// Its rack, if it has one.
        rack: Option<String> [0..],
        /// Whether it is fenced.
        is_fenced: bool [2..],
    }
}
