//! Every bound of the group coordinator, by name. What Kafka has as configuration is in [`super::GroupsConfig`].

/// Groups on one partition, those that have offsets and no members included.
pub const GROUPS_MAX: usize = 100_000;
/// Length of a group id, member id or protocol type, in bytes.
pub const NAME_BYTES_MAX: usize = 4_096;
/// Length of a client id, client host, instance id or rack, in bytes: a member id is made of one and a UUID.
pub const CLIENT_BYTES_MAX: usize = 2_048;
/// Metadata of all members of a classic group over all their protocols, in bytes: its leader gets it in one answer.
pub const GROUP_METADATA_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Metadata of one member over all its protocols, or all topics one member names, in bytes.
pub const MEMBER_METADATA_BYTES_MAX: usize = 1024 * 1024;
/// Protocols one classic member offers.
pub const PROTOCOLS_PER_MEMBER_MAX: usize = 100;
/// Partitions a group has offsets of, those of open transactions included.
pub const OFFSETS_PER_GROUP_MAX: usize = 100_000;
/// Open transactions with offsets of one group.
pub const OPEN_TRANSACTIONS_PER_GROUP_MAX: usize = 10_000;
/// Records of one batch that need not be appended together, in bytes of keys and values: well below the default
/// `max.message.bytes`.
pub const BATCH_BYTES: usize = 512 * 1024;
/// A record that is not appended because no batch could hold it, in bytes of key and value: Kafka's default
/// `max.message.bytes` with room for the batch around it.
pub const RECORD_BYTES_MAX: usize = 1_000_000;
/// Length of a pattern of topic names, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Size of a compiled pattern, in bytes.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 1024 * 1024;
/// How long a new classic member may wait for its first rebalance, in milliseconds: its client does not heartbeat yet.
pub const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;
/// Size of a snapshot that is read, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;
/// How long after a change of the cluster's topics the offsets of deleted ones go, in milliseconds: many changes make
/// one look at the offsets.
pub const DELETED_TOPICS_DELAY_MS: i64 = 1_000;
