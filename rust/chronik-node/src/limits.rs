//! Every bound of this room, named. What grows anywhere at the edge is bounded by a line here.

use std::time::Duration;

// ---- client connections ------------------------------------------------------------------------------------------

/// Client connections of one process, over all of its nodes.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Client connections of one node from one address; the machine's own addresses are free of it.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 1_000;
/// Descriptors that client connections may never take: peers, files and listeners live on them.
pub const DESCRIPTORS_RESERVED: usize = 64;
/// Connections the kernel may hold for us before they are accepted.
pub const ACCEPT_BACKLOG: i32 = 1_024;
/// Pause after `accept` failed for want of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Shortest time between two log lines of a listener about clients it could not take.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);

/// What an idle connection keeps ready to read into.
pub const READ_BUFFER_BYTES: usize = 4 << 10;
/// A read buffer that has grown beyond this is given back when the connection falls silent. Above what small frames
/// make of [`READ_BUFFER_BYTES`], so that a client of small requests keeps its buffer.
pub const READ_BUFFER_BYTES_KEPT: usize = 4 * READ_BUFFER_BYTES;
/// What a connection with much to say is given per read.
pub const READ_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Frames up to this size are cut out of the shared read buffer; larger ones get a buffer of their own.
pub const SHARED_FRAME_BYTES_MAX: usize = 16 << 10;
/// First allocation for a large frame. It grows by `LARGE_FRAME_GROWTH` as bytes arrive, never ahead of them.
pub const LARGE_FRAME_BYTES_FIRST: usize = 64 << 10;
/// How many times the bytes already received a frame's buffer may be.
pub const LARGE_FRAME_GROWTH: usize = 16;

/// Requests of one connection executing at a time (only produces overlap).
pub const REQUESTS_EXECUTING_MAX: usize = 64;
/// Requests of one connection received and not yet started. Beyond it the socket is not read.
pub const REQUESTS_WAITING_MAX: usize = 64;
/// Bytes of requests received and not yet answered, per connection. Beyond it the socket is not read.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Bytes of requests received and not yet answered, per node. Beyond it no client socket is read.
pub const NODE_REQUEST_BYTES_MAX: usize = 512 << 20;
/// Bytes of answers not yet taken by the client. Beyond it no further request of the connection starts.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Pieces handed to one vectored write.
pub const WRITE_PIECES_MAX: usize = 64;

/// Longest time a frame may take from its first byte to its last.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time a client may leave an answer lying in the socket without taking a byte.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time a connection may stay without a request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

// ---- peers -------------------------------------------------------------------------------------------------------

/// Bytes of one peer frame. Holds the largest append of one Raft message and its snapshot chunks.
pub const PEER_FRAME_BYTES_MAX: usize = 160 << 20;
/// Bytes of the first frame in either direction, before the other side is known.
pub const PEER_HELLO_BYTES_MAX: usize = 1 << 10;
/// Bytes queued towards one peer. What does not fit is dropped: Raft repeats what matters.
pub const PEER_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Messages queued towards one peer.
pub const PEER_QUEUE_MESSAGES_MAX: usize = 65_536;
/// Time for connecting to a peer and exchanging hellos.
pub const PEER_HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between attempts to reach a peer.
pub const PEER_RECONNECT_PAUSE: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(1_000));
/// Inbound peer connections of one node, those still saying hello included.
pub const PEER_CONNECTIONS_MAX: usize = 256;
/// Nodes that have called and are not registered yet. Further ones are refused until one of them is, or leaves.
pub const PEER_NEWCOMERS_MAX: usize = 64;
/// Nodes that are remembered after they were removed, so that they can be told.
pub const PEERS_REMOVED_MAX: usize = 1_024;
/// Bytes of one question to a node of a running cluster, and of its answer.
pub const PEER_ANSWER_BYTES_MAX: usize = 1 << 20;
/// Time for asking one node of a running cluster who belongs to it.
pub const PEER_QUESTION_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause before the same nodes are asked again.
pub const PEER_QUESTION_PAUSE: Duration = Duration::from_millis(250);
/// Pause between two looks around by a node that is not registered yet.
pub const PEER_QUESTION_INTERVAL: Duration = Duration::from_secs(1);
/// Addresses at which a node looks for the cluster it joins.
pub const JOIN_ADDRESSES_MAX: usize = 64;
/// How long a node that joins a cluster looks for one of its nodes.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages a frozen node's peers leave for it. The oldest make room.
pub const BACKLOG_MESSAGES_MAX: usize = 100_000;
/// Messages travelling on delayed links of one shard. What does not fit is dropped.
pub const DELAYED_MESSAGES_MAX: usize = 200_000;

// ---- shards ------------------------------------------------------------------------------------------------------

/// Passes over the hosts of a shard before the turn lets connections in again.
pub const TURN_PASSES_MAX: usize = 16;
/// Shards of one process.
pub const SHARDS_MAX: usize = 64;
/// Nodes of one in-process cluster.
pub const NODES_MAX: usize = 64;
/// Events waiting at a shard above which messages between nodes are lost, as on a network. Whatever else waits there
/// is bounded by who hands it over: one sync report per node, and tasks by the requests executing.
pub const SHARD_EVENTS_MAX: usize = 100_000;
/// Sync jobs waiting for a node's disk thread.
pub const SYNC_JOBS_MAX: usize = 1_024;

// ---- control -----------------------------------------------------------------------------------------------------

/// Longest time `start` may take.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time `stop` waits for a shard to end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time a dropped cluster is waited for.
pub const DROP_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time a control call may take, the cluster's own work included.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);
/// Log lines kept per node; the oldest make room.
pub const LOG_LINES_PER_NODE: usize = 2_000;
/// Bytes of one captured log line.
pub const LOG_LINE_BYTES_MAX: usize = 4 << 10;
/// Log lines waiting for the subscriber outside; further ones are counted and dropped.
pub const LOG_FEED_LINES_MAX: usize = 10_000;
/// Longest time to wait for the election of a leader that somebody asks for.
pub const LEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time an administrative request may take.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Time after which a leader transfer is asked for again.
pub const TRANSFER_PATIENCE: Duration = Duration::from_millis(500);
/// Longest time a stopping node waits for others to take over what it leads.
pub const HAND_OVER_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the replicas of a node that leaves the cluster may take to move away.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);

// ---- compaction --------------------------------------------------------------------------------------------------

/// What a compaction reads and writes before it pauses and looks whether it may go on.
pub const COMPACTION_STEP_BYTES: u64 = 256 << 10;
/// Bytes that the compactions of one node and shard read and write per second at most. A log is read twice, and what
/// stays of it is written once.
pub const COMPACTION_BYTES_PER_SECOND_MAX: u64 = 320 << 20;
