//! The operations a history may contain: the `op`, `args` and `result` of the JSON schema, field by field.

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Arguments and result of one operation; `result` is present if the client got an answer with content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call<A, R> {
    /// What was asked.
    pub args: A,
    /// What was answered.
    pub result: Option<R>,
}

impl<A, R> Call<A, R> {
    /// A call that waits for its answer.
    pub fn new(args: A) -> Self {
        Self { args, result: None }
    }
}

/// One operation; the JSON name of each is in backticks.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// `send`: one batch of records, to be stored as one piece.
    Send(Call<SendArgs, SendResult>),
    /// `fetch`: one partition of a Fetch, or one poll of a consumer.
    Fetch(Call<FetchArgs, FetchResult>),
    /// `list`: ListOffsets.
    List(Call<ListArgs, ListResult>),
    /// `epoch_end`: OffsetForLeaderEpoch.
    EpochEnd(Call<EpochEndArgs, EpochEndResult>),
    /// `create`: one topic of a CreateTopics.
    Create(Call<CreateArgs, CreateResult>),
    /// `delete`: one topic of a DeleteTopics.
    Delete(Call<DeleteArgs, Nothing>),
    /// `meta`: the topics that a Metadata answer shows.
    Meta(Call<MetaArgs, MetaResult>),
    /// `init`: InitProducerId.
    Init(Call<InitArgs, InitResult>),
    /// `begin`: a transaction begins at the client; nothing is sent.
    Begin(Call<BeginArgs, Nothing>),
    /// `end`: EndTxn.
    End(Call<EndArgs, Nothing>),
    /// `txn_offset_commit`: TxnOffsetCommit of one partition.
    TxnOffsetCommit(Call<TxnOffsetCommitArgs, Nothing>),
    /// `join`: a member of a group is given a partition to read, by SyncGroup or by ConsumerGroupHeartbeat.
    Join(Call<JoinArgs, JoinResult>),
    /// `commit`: OffsetCommit of one partition.
    Commit(Call<CommitArgs, Nothing>),
    /// `offset_fetch`: OffsetFetch of one partition.
    OffsetFetch(Call<OffsetFetchArgs, OffsetFetchResult>),
    /// `assign`: this client reads this key on from here; its fetches that follow must join without a gap.
    Assign(Call<AssignArgs, Nothing>),
    /// `fault`: something was done to the cluster between invocation and return.
    Fault(Call<FaultArgs, Nothing>),
    /// `phase`: a part of the run begins.
    Phase(Call<PhaseArgs, Nothing>),
    /// `dump`: the committed log of one replica, taken from its inside.
    Dump(Call<Nothing, DumpResult>),
    /// `state`: a hash of one replica's state.
    State(Call<Nothing, StateResult>),
}

impl Operation {
    /// Its name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Fetch(_) => "fetch",
            Self::List(_) => "list",
            Self::EpochEnd(_) => "epoch_end",
            Self::Create(_) => "create",
            Self::Delete(_) => "delete",
            Self::Meta(_) => "meta",
            Self::Init(_) => "init",
            Self::Begin(_) => "begin",
            Self::End(_) => "end",
            Self::TxnOffsetCommit(_) => "txn_offset_commit",
            Self::Join(_) => "join",
            Self::Commit(_) => "commit",
            Self::OffsetFetch(_) => "offset_fetch",
            Self::Assign(_) => "assign",
            Self::Fault(_) => "fault",
            Self::Phase(_) => "phase",
            Self::Dump(_) => "dump",
            Self::State(_) => "state",
        }
    }

    /// Takes the content of the answer away.
    pub(crate) fn forget_result(&mut self) {
        match self {
            Self::Send(call) => call.result = None,
            Self::Fetch(call) => call.result = None,
            Self::List(call) => call.result = None,
            Self::EpochEnd(call) => call.result = None,
            Self::Create(call) => call.result = None,
            Self::Meta(call) => call.result = None,
            Self::Init(call) => call.result = None,
            Self::Join(call) => call.result = None,
            Self::OffsetFetch(call) => call.result = None,
            Self::Dump(call) => call.result = None,
            Self::State(call) => call.result = None,
            Self::Delete(call) => call.result = None,
            Self::Begin(call) => call.result = None,
            Self::End(call) => call.result = None,
            Self::TxnOffsetCommit(call) => call.result = None,
            Self::Commit(call) => call.result = None,
            Self::Assign(call) => call.result = None,
            Self::Fault(call) => call.result = None,
            Self::Phase(call) => call.result = None,
        }
    }

    /// Latest honest answer, counted from the invocation; `None` if nobody set a bound.
    pub fn bound_ms(&self) -> Option<u64> {
        match self {
            Self::Send(call) => call.args.bound_ms,
            Self::Fetch(call) => call.args.bound_ms,
            Self::List(call) => call.args.bound_ms,
            Self::EpochEnd(call) => call.args.bound_ms,
            Self::Create(call) => call.args.bound_ms,
            Self::Delete(call) => call.args.bound_ms,
            Self::Meta(call) => call.args.bound_ms,
            Self::Init(call) => call.args.bound_ms,
            Self::End(call) => call.args.bound_ms,
            Self::TxnOffsetCommit(call) => call.args.bound_ms,
            Self::Join(call) => call.args.bound_ms,
            Self::Commit(call) => call.args.bound_ms,
            Self::OffsetFetch(call) => call.args.bound_ms,
            Self::Begin(_)
            | Self::Assign(_)
            | Self::Fault(_)
            | Self::Phase(_)
            | Self::Dump(_)
            | Self::State(_) => None,
        }
    }
}

/// An object without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// Which records a reader wants to see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Everything below the high watermark.
    #[default]
    ReadUncommitted,
    /// Records of committed transactions and of none, below the last stable offset.
    ReadCommitted,
}

/// What the topic promises its readers (`chronik.read.consistency`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Every claim about the end passes the read gate.
    #[default]
    Linearizable,
    /// No false empty, but watermarks may be behind. ListOffsets and the others are gated.
    Tail,
    /// No promise about the end.
    Local,
}

/// One record as a reader sees it; `[offset, value]` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, Text)", into = "(i64, Text)")]
pub struct Record {
    /// Offset of the record.
    pub offset: i64,
    /// Its value.
    pub value: Text,
}

impl From<(i64, Text)> for Record {
    fn from((offset, value): (i64, Text)) -> Self {
        Self { offset, value }
    }
}

impl From<Record> for (i64, Text) {
    fn from(record: Record) -> Self {
        (record.offset, record.value)
    }
}

/// Identity of an idempotent batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Producer {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    #[serde(default)]
    pub epoch: i16,
    /// Sequence of the first record; absent if the client library does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i32>,
}

/// `acks=all` on the wire.
pub const ACKS_ALL: i16 = -1;

/// Arguments of `send`. An attempt recorded as an event of its own repeats the values and the producer's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendArgs {
    /// Values of the batch, in order. No other batch of the key sends one of them.
    pub values: Vec<Text>,
    /// -1 (all), 1 or 0. Only an answer with -1 is a promise.
    #[serde(default = "acks_all")]
    pub acks: i16,
    /// Present if the producer is idempotent: then no attempt may store the batch twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<Producer>,
    /// The client library may send the batch again without idempotence: a value may sit at several offsets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_repeat: bool,
    /// Name of the transaction it belongs to, unique in the history (not the transactional id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Text>,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

fn acks_all() -> i16 {
    ACKS_ALL
}

impl Default for SendArgs {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            acks: ACKS_ALL,
            producer: None,
            may_repeat: false,
            transaction: None,
            bound_ms: None,
        }
    }
}

/// Result of `send`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendResult {
    /// Offset of the first record; absent or negative if the broker did not tell it.
    #[serde(default)]
    pub offset: Option<i64>,
}

/// Arguments of `fetch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FetchArgs {
    /// Offset the reader asked for.
    pub offset: i64,
    /// Which records it wants to see.
    #[serde(default)]
    pub isolation: Isolation,
    /// What the topic promises.
    #[serde(default)]
    pub consistency: Consistency,
    /// How long the broker may wait for records.
    #[serde(default)]
    pub max_wait_ms: u64,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
    /// Transaction that this reading belongs to (consume, transform, produce).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Text>,
}

/// Result of `fetch`. A watermark that is absent was not recorded; one of -1 was not given by the broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FetchResult {
    /// High watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hw: Option<i64>,
    /// Last stable offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lso: Option<i64>,
    /// Log start offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_start: Option<i64>,
    /// Records as the application sees them: none below the asked offset, no control records, and under
    /// `read_committed` none of the aborted ones.
    #[serde(default)]
    pub records: Vec<Record>,
    /// Aborted transactions of the range: producer id and first offset. Told in explanations only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aborted: Vec<(i64, i64)>,
    /// Where the reader goes on: after the last batch received, hidden records included. Absent: after the last
    /// record, or at the asked offset if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Preferred read replica. With it, and without records, the answer says "ask there" and nothing about the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred: Option<i32>,
}

/// `timestamp` of ListOffsets that asks for the end.
pub const LATEST: i64 = -1;
/// `timestamp` of ListOffsets that asks for the log start.
pub const EARLIEST: i64 = -2;

/// Arguments of `list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListArgs {
    /// -1 latest, -2 earliest, -3 largest timestamp, else milliseconds since 1970.
    pub timestamp: i64,
    /// Whose end is meant by latest.
    #[serde(default)]
    pub isolation: Isolation,
    /// What the topic promises.
    #[serde(default)]
    pub consistency: Consistency,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Result of `list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListResult {
    /// The offset; -1 if no record has that time or a later one.
    pub offset: i64,
}

/// Arguments of `epoch_end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEndArgs {
    /// Leader epoch whose end is asked.
    pub epoch: i32,
    /// What the topic promises.
    #[serde(default)]
    pub consistency: Consistency,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Result of `epoch_end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEndResult {
    /// Largest epoch that is not larger than the asked one; -1 if there is none.
    pub epoch: i32,
    /// Where that epoch ends; -1 if there is none.
    pub offset: i64,
}

/// Arguments of `create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateArgs {
    /// Name of the topic, for explanations.
    #[serde(default)]
    pub name: Text,
    /// The topic is compacted: records may vanish from its middle.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compacted: bool,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Result of `create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateResult {
    /// The topic's id, as keys begin with it.
    pub topic_id: Text,
}

/// Arguments of `delete`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteArgs {
    /// The topic's id.
    pub topic_id: Text,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Arguments of `meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaArgs {
    /// Ids that were asked for, by id or by name; absent: all topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<Text>>,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Result of `meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaResult {
    /// Ids of the topics shown without an error. A topic answered with error 5 (ask again) is to be left out of
    /// `args.topics`.
    pub topics: Vec<Text>,
}

/// Arguments of `init`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitArgs {
    /// The transactional id; absent for a producer that is only idempotent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactional_id: Option<Text>,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Result of `init`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitResult {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
}

/// Arguments of `begin`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginArgs {
    /// Name of the transaction, unique in the history.
    pub transaction: Text,
    /// The transactional id: a later `init` of it ends the transaction.
    #[serde(default)]
    pub transactional_id: Text,
}

/// Arguments of `end`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndArgs {
    /// Name of the transaction.
    pub transaction: Text,
    /// Commit, else abort.
    pub commit: bool,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Arguments of `txn_offset_commit`; the partition is the event's key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnOffsetCommitArgs {
    /// Name of the transaction.
    pub transaction: Text,
    /// The group.
    pub group: Text,
    /// Generation or member epoch; -1 if none.
    #[serde(default = "no_generation")]
    pub generation: i32,
    /// The committed offset.
    pub offset: i64,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Arguments of `join`; the partition that the member is given is the event's key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinArgs {
    /// The group.
    pub group: Text,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Result of `join`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinResult {
    /// Generation, or member epoch, in which the partition is the member's.
    pub generation: i32,
}

/// Arguments of `commit`; the partition is the event's key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitArgs {
    /// The group.
    pub group: Text,
    /// Generation or member epoch; -1 if none.
    #[serde(default = "no_generation")]
    pub generation: i32,
    /// The committed offset.
    pub offset: i64,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

fn no_generation() -> i32 {
    -1
}

/// Arguments of `offset_fetch`; the partition is the event's key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetFetchArgs {
    /// The group.
    pub group: Text,
    /// Latest honest answer, counted from the invocation; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<u64>,
}

/// Result of `offset_fetch`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetFetchResult {
    /// The committed offset; -1 if there is none.
    pub offset: i64,
}

/// Arguments of `assign`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignArgs {
    /// Where the client begins to read the key; absent: it stops reading it.
    #[serde(default)]
    pub position: Option<i64>,
}

/// Arguments of `fault`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultArgs {
    /// What was done, for explanations.
    #[serde(default)]
    pub text: Text,
    /// Nodes that stood still between invocation and return: their answers may be late by that time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<i32>,
}

/// Name of the phase in which the healed cluster is read from the start to the end.
pub const FINAL_PHASE: &str = "final";

/// Arguments of `phase`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseArgs {
    /// `final`: from here on every replica of every key is read from its start to its end.
    pub name: Text,
}

/// Result of `dump`: committed records only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpResult {
    /// First offset of the log.
    pub log_start: i64,
    /// Offset after the last one dumped.
    pub hw: i64,
    /// Data records in between, in order.
    pub records: Vec<Record>,
}

/// Result of `state`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateResult {
    /// Raft index of the last applied entry.
    pub applied: u64,
    /// Hash of the replica's state at that index.
    pub hash: u64,
}
