//! Every bound of the controller, by name. Nothing here grows without one of these.

/// Encoded size of one command, in bytes: fits a record batch of Kafka's default `message.max.bytes`.
pub const COMMAND_BYTES_MAX: usize = 1_000_000;
/// Encoded size of one reply, in bytes.
pub const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Size of a snapshot, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Length of any string in a command, in bytes.
pub const STRING_BYTES_MAX: usize = 32 * 1024;
/// Topics, resources or operations in one command.
pub const ITEMS_PER_COMMAND_MAX: usize = 10_000;

/// Replies kept for the proposers and against applying a command twice.
pub const REPLIES_KEPT: usize = 1_024;
/// Items (topics, resources) over all kept replies: the memory bound of the ring. The newest reply
/// stays whatever its size.
pub const REPLY_ITEMS_KEPT: usize = 16_384;

/// Registered brokers.
pub const BROKERS_MAX: usize = 128;
/// Most brokers that are remembered after they left.
pub const LEFT_BROKERS_MAX: usize = 1_024;
/// Length of a host name, in bytes.
pub const HOST_BYTES_MAX: usize = 255;
/// Length of a rack name, in bytes.
pub const RACK_BYTES_MAX: usize = 249;
/// Voters of the metadata group; further brokers follow it.
pub const METADATA_VOTERS_MAX: usize = 7;
/// Topics in the cluster.
pub const TOPICS_MAX: usize = 20_000;
/// Partitions of one topic.
pub const PARTITIONS_PER_TOPIC_MAX: usize = 10_000;
/// Partitions in the cluster.
pub const PARTITIONS_MAX: usize = 50_000;
/// Replicas of one partition.
pub const REPLICAS_MAX: usize = 15;
/// Length of a topic name, in bytes (Kafka's).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Overrides on one topic, broker or group.
pub const CONFIGS_PER_RESOURCE_MAX: usize = 256;
/// Groups with overrides.
pub const CONFIGURED_GROUPS_MAX: usize = 10_000;
/// Length of a configuration value, in bytes.
pub const CONFIG_VALUE_BYTES_MAX: usize = 16 * 1024;

/// Entities with quotas.
pub const QUOTA_ENTITIES_MAX: usize = 10_000;

/// Access control entries.
pub const ACLS_MAX: usize = 10_000;

/// Length of a cluster id: a uuid in base64 without padding.
pub const CLUSTER_ID_BYTES: usize = 22;
/// Producer ids handed out at a time.
pub const PRODUCER_ID_BLOCK: i32 = 1_000;

/// Length of a client's regular expression, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_024;
/// Memory of a compiled regular expression, in bytes.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 1_024 * 1_024;
