//! Every bound of this room, named. What grows anywhere in the broker is bounded by a line here.

/// Bytes a single Fetch response may carry, whatever the client asks for.
pub const FETCH_RESPONSE_BYTES_MAX: usize = 64 << 20;
/// Partitions that one Fetch request, or one fetch session, may name.
pub const FETCH_PARTITIONS_MAX: usize = 10_000;
/// Fetch sessions kept per shard; the one unused longest makes room.
pub const FETCH_SESSIONS_MAX: usize = 1_000;
/// Longest time a Fetch may ask to be parked.
pub const FETCH_WAIT_MS_MAX: u64 = 300_000;
/// Shortest deadline of a fetch's read gate, also for `max_wait_ms` of 0.
pub const GATE_WAIT_MS_MIN: u64 = 250;
/// Wait at the metadata gate before a node describes the cluster as one that may be cut off, in peer time-outs.
pub const METADATA_GATE_PEER_TIMEOUTS: u64 = 6;
/// How long a gate still pending may hold back a response that has enough bytes from other partitions.
pub const GATE_STRAGGLER_MS_MAX: u64 = 250;
/// Partitions one Produce, ListOffsets or OffsetForLeaderEpoch request may name.
pub const REQUEST_PARTITIONS_MAX: usize = 10_000;
/// Topics one Metadata request may name.
pub const METADATA_TOPICS_MAX: usize = 10_000;
/// Longest time a produce or admin request may wait for its outcome.
pub const REQUEST_TIMEOUT_MS_MAX: u64 = 300_000;
/// Longest time the marker of a transaction is waited for before its coordinator is told to write it again.
pub const MARKER_WAIT_MS_MAX: u64 = 30_000;
/// Time an administrative request without a time-out of its own may wait for its outcome.
pub const ADMIN_TIMEOUT_MS: u64 = 15_000;
/// Longest time a client over its quota is told to wait. What it still owes then counts against what it sends next.
pub const QUOTA_THROTTLE_MS_MAX: u64 = 30_000;
/// Clients over whose quotas one node keeps account.
pub const QUOTA_BUCKETS_MAX: usize = 10_000;
/// Time an internal call (auto-create, producer ids, registration) may take.
pub const INTERNAL_CALL_TIMEOUT_MS: u64 = 5_000;
/// Time to find an id for a producer before it is told to ask again. Well below the shortest request time-out a client
/// may be given: kafka-python takes its own time-out here for fatal, and repeats an honest "not now" for ever.
pub const PRODUCER_ID_TIMEOUT_MS: u64 = 2_000;
/// Controller calls waiting for an answer from another node.
pub const PENDING_CALLS_MAX: usize = 10_000;
/// Forwarded requests that are remembered so that a copy is not served again.
pub const FORWARDS_REMEMBERED_MAX: usize = 4_096;
/// Pause before a controller call is sent again when nothing was heard of it.
pub const CALL_RESEND_MS: u64 = 500;
/// Pause before the leader of the metadata group is asked again whether its members are who they should be.
pub const QUORUM_QUESTION_PAUSE_MS: u64 = 50;
/// Node messages queued towards the transport between two turns.
pub const NODE_OUTBOX_MAX: usize = 100_000;
/// Leadership entries in one message; a longer list is split.
pub const LEADERSHIP_PER_MESSAGE_MAX: usize = 4_096;
/// Partitions known to one node, over all topics.
pub const LEADER_TABLE_MAX: usize = 1_000_000;
/// Bytes of one node message on the wire, its command included.
pub const NODE_MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Groups one request may name.
pub const REQUEST_GROUPS_MAX: usize = 10_000;
/// Time to find or create a coordinator before the client is told to ask again.
pub const COORDINATOR_SEARCH_MS: u64 = 5_000;
/// Requests that wait to be looked at by one coordinator; whoever finds the queue full asks again.
pub const OFFICE_REQUESTS_QUEUED_MAX: usize = 10_000;
/// Requests of one coordinator that wait for others or for the log.
pub const OFFICE_REQUESTS_WAITING_MAX: usize = 100_000;
/// Pause before a coordinator that could not prove its leadership tries again.
pub const OFFICE_RETRY_MS: u64 = 50;
/// Time for share coordinators to do what a group's coordinator asks of them within one request.
pub const SHARE_ACCOUNTS_MS: u64 = 5_000;
/// Questions of one request to share coordinators that are under way at a time.
pub const SHARE_QUESTIONS_AT_ONCE: usize = 64;
/// Time for one node to write the markers of one order.
pub const MARKER_CALL_MS: u64 = 5_000;
/// Pause before markers are written again that could not be.
pub const MARKER_RETRY_MS: u64 = 100;
/// Length of a share group's member id, in bytes: a uuid in text.
pub const SHARE_MEMBER_BYTES_MAX: usize = 36;
/// Share sessions on one node.
pub const SHARE_SESSIONS_MAX: usize = 2_000;
/// Share sessions that one connection may have; the oldest ends for a further one.
pub const SHARE_SESSIONS_PER_CONNECTION_MAX: usize = 16;
/// Partitions of one share session.
pub const SHARE_SESSION_PARTITIONS_MAX: usize = 10_000;
/// Requests that wait for the leader of one share-partition.
pub const SHARE_ASKS_QUEUED_MAX: usize = 1_000;
/// How often one fetch goes on behind records that are nobody's.
pub const SHARE_READS_PER_FETCH_MAX: usize = 32;
/// Time for a leader of a share-partition to find out where to go on.
pub const SHARE_LOAD_MS: u64 = 10_000;
/// Time for the share coordinator to write down what members have said.
pub const SHARE_WRITE_MS: u64 = 5_000;
/// Time for another node to answer a question to the share coordinator there.
pub const SHARE_CALL_MS: u64 = 1_000;
/// Pause before a replica that could not be opened for want of descriptors or space is tried again.
pub const REOPEN_MS: u64 = 1_000;

/// Damaged replicas that are replaced by one command.
pub const REPAIRS_PER_COMMAND_MAX: usize = 1_000;
/// Time for which a damaged replica must have seen one leader elsewhere before it is replaced, in times of the silence after
/// which a node counts as gone: one that has lost its majority steps down well before.
pub const REPAIR_PATIENCE_TIMEOUTS: u64 = 5;
/// Pause before it is looked again whether the peers of a damaged replica do without it.
pub const REPAIR_PAUSE_MS: u64 = 1_000;
/// Reassignments whose end is reported in one command.
pub const ARRIVALS_PER_REPORT_MAX: usize = 1_000;
/// Rules of a test about requests to count, delay or refuse that are active at a time.
pub const INTERCEPTIONS_MAX: usize = 1_024;
/// Longest delay that such a rule may want.
pub const INTERCEPTION_DELAY_MS_MAX: u64 = 600_000;
