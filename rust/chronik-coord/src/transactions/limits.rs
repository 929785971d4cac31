//! Every bound of the transaction coordinator, by name; each holds for one partition of `__transaction_state`.

/// Transactional ids known at a time. The next one is refused until an idle one has expired.
pub const TRANSACTIONAL_IDS_MAX: usize = 100_000;
/// Length of a transactional id, in bytes.
pub const TRANSACTIONAL_ID_BYTES_MAX: usize = 4 * 1_024;
/// Partitions of one transaction.
pub const PARTITIONS_PER_TRANSACTION_MAX: usize = 10_000;
/// What the partitions of one transaction may take in its record, in bytes: leaves room in a batch of Kafka's default
/// `max.message.bytes`.
pub const PARTITIONS_BYTES_MAX: usize = 900_000;
/// Records appended as one batch when transactional ids expire, in bytes of their keys.
pub const EXPIRY_BATCH_BYTES_MAX: usize = 512 * 1_024;
/// Deadlines handled at one call of the clock; the rest follows at the next.
pub const DEADLINES_PER_CALL_MAX: usize = 1_000;
/// Size of a snapshot, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 512 * 1_024 * 1_024;
/// How long an EndTxn waits for its markers, in milliseconds: well below the request time-out of clients, which is 30 s.
pub const END_WAIT_MS_MAX: i64 = 10_000;
