//! Every bound of this crate, in one place. A queue, map, frame or wait that is not named here does not grow.

/// Largest raft append message in bytes, one entry apart that is larger by itself.
pub const APPEND_MESSAGE_BYTES_MAX: u64 = 1024 * 1024;
/// Append messages a leader may have in flight to one follower. For a member that catches up raft reads all of them
/// at once, so this many portions of a lagging member's log are in memory.
pub const APPEND_MESSAGES_IN_FLIGHT_MAX: usize = 32;
/// Bytes of committed entries handed out by one `ready()`, so that catching up does not hold a whole log in memory.
pub const COMMITTED_BYTES_PER_READY_MAX: u64 = 8 * 1024 * 1024;

/// Batches proposed for one ready of one partition; the rest waits for the next ready.
pub const PROPOSALS_PER_READY_MAX: usize = 1024;
/// Bytes proposed for one ready of one partition (at least one batch always passes).
pub const PROPOSAL_BYTES_PER_READY_MAX: usize = 8 * 1024 * 1024;
/// Batches of one partition that are proposed and not yet applied.
pub const PROPOSALS_IN_FLIGHT_MAX: usize = 16 * 1024;
/// Bytes of one partition that are proposed and not yet applied (at least one batch always passes).
pub const PROPOSAL_BYTES_IN_FLIGHT_MAX: usize = 64 * 1024 * 1024;
/// Batches of one partition that wait to be proposed; one more is refused.
pub const APPENDS_QUEUED_MAX: usize = 16 * 1024;
/// Bytes of one partition that wait to be proposed; more is refused (at least one batch always passes).
pub const APPEND_BYTES_QUEUED_MAX: usize = 64 * 1024 * 1024;

/// Readies of one group handled in one turn; what is left keeps the group dirty.
pub const READIES_PER_TURN_MAX: usize = 8;

/// Requests of one partition that may wait in the read gate; one more is refused at once.
pub const GATE_WAITERS_MAX: usize = 16 * 1024;
/// Barrier requests a leader holds for one partition, those waiting for its own term included.
pub const BARRIERS_HELD_MAX: usize = 4 * 1024;
/// Read contexts one leader may have open in raft at once, per partition.
pub const BARRIER_CONTEXTS_MAX: usize = 32;
/// Longest time a barrier request may ask its leader to hold it, in milliseconds.
pub const BARRIER_WAIT_MS_MAX: u64 = 60_000;
/// Shortest time after which a lost round is sent again, in milliseconds.
pub const ROUND_TIMEOUT_MS_MIN: u64 = 100;
/// Longest time after which a lost round is sent again, in milliseconds.
pub const ROUND_TIMEOUT_MS_MAX: u64 = 2_000;

/// How many times as long as it should an election timeout may take on a busy host before a silent member is doubted.
pub const TICKS_STRETCHED_MAX: u64 = 20;

/// Messages kept for groups that do not exist here yet. Whoever creates a topic of ten thousand partitions a moment before
/// the others asks each of them for as many votes.
pub const EARLY_MESSAGES_MAX: usize = 32 * 1024;
/// Bytes of messages kept for groups that do not exist here yet.
pub const EARLY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a message is kept for a group that does not exist here yet, in milliseconds.
pub const EARLY_AGE_MS_MAX: u64 = 1_000;

/// Waiters parked on one partition.
pub const PARKED_WAITERS_MAX: usize = 16 * 1024;

/// Producers remembered by one partition; the one unused for longest makes room.
pub const PRODUCERS_MAX: usize = 100_000;
/// Batches remembered per producer: as many as an idempotent client may have in flight.
pub const PRODUCER_BATCHES_MAX: usize = 5;
/// Transactions open in one partition at once; one more is refused until another has ended.
pub const OPEN_TRANSACTIONS_MAX: usize = 16 * 1024;
/// Aborted transactions one partition remembers: as long as it holds so many, no transaction is opened in it, until the
/// log start has passed some.
pub const ABORTED_TRANSACTIONS_MAX: usize = 1_000_000;
/// Producers of one partition whose coordinator is being asked; the one asked about longest ago makes room.
pub const VERIFICATIONS_MAX: usize = 16 * 1024;
/// Largest leader state in a snapshot: bounds what a decoder allocates.
pub const SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How far the commit index written down may stay behind between two ticks, in entries.
pub const COMMIT_WRITE_LAG: u64 = 1_024;

/// Members of one group, with and without a vote.
pub const VOTERS_MAX: usize = 192;
/// Entries that a new member may still miss when it gets its vote.
pub const PROMOTION_LAG_MAX: u64 = 256;
/// Groups led on one shard whose new members catch up at the same time; the others wait. Each may have
/// [`APPEND_MESSAGES_IN_FLIGHT_MAX`] messages under way.
pub const CATCHING_UP_MAX: usize = 8;
/// Entries in one raft message on the wire.
pub const MESSAGE_ENTRIES_MAX: usize = 64 * 1024;
/// Bytes of one replica message on the wire.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of a raft message's own context: a read context or a campaign mark.
pub const MESSAGE_CONTEXT_BYTES_MAX: usize = 64;

/// Times a group campaigns ahead of its election timeout after a peer certainly went down.
pub const CAMPAIGN_TRIES_MAX: u8 = 4;

/// Free disk space below which appends are refused unless configured otherwise, in bytes.
pub const DISK_RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// Size at which a file of a compacted prefix is closed, whatever the segment size: a member that fetches one checks
/// each file in one go, in bytes.
pub const COMPACTED_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Times a member asks again for a piece of a compacted prefix before it waits for another snapshot.
pub const PREFIX_REQUESTS_REPEATED_MAX: u32 = 8;
