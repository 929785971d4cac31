//! OffsetCommit and TxnOffsetCommit.
//!
//! Behaviour: members commit with their generation or epoch; anybody commits to a group without members by naming no
//! generation. One partition's bad metadata (12) fails that partition alone. An offset committed in a transaction counts
//! from its marker on.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::group_records::OffsetCommitValue;
use chronik_wire::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use chronik_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use chronik_wire::messages::{
    OffsetCommitRequest, OffsetCommitResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use chronik_wire::types::TopicId;

use crate::coordinator::{Moment, OpenTransaction, Output, Ticket};
use crate::groups::context::Context;
use crate::groups::limits;
use crate::groups::machine::Groups;
use crate::groups::record::GroupRecord;
use crate::groups::request::{Caller, GroupReply, refused_commit, refused_transactional_commit};

/// The first version whose clients know that a group may not exist.
const GROUP_NOT_FOUND_FROM: i16 = 9;
/// What an OffsetCommit of an old client means by "the broker's retention".
const DEFAULT_RETENTION: i64 = -1;

/// One partition's commit, whatever the request.
struct Commit<'a> {
    topic: &'a Arc<str>,
    topic_id: TopicId,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<String>,
}

/// Who commits.
struct Committer<'a> {
    member_id: &'a str,
    instance_id: Option<&'a str>,
    generation: i32,
    version: i16,
    transactional: bool,
}

impl Groups {
    /// Commits offsets.
    pub(crate) fn offset_commit(
        &mut self,
        ticket: Ticket,
        request: OffsetCommitRequest,
        caller: &Caller,
        moment: Moment,
    ) -> Output<GroupReply> {
        let group: Arc<str> = Arc::from(request.group_id.as_str());
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
            version: caller.version,
            transactional: false,
        };
        let partitions = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        let checked =
            self.check_commit(&group, &committer).and_then(|()| self.check_room(&group, partitions));
        if let Err(error) = checked {
            let reply = GroupReply::OffsetCommit(refused_commit(&request, error));
            return Output::reply(ticket, reply);
        }
        let expire_timestamp = match request.retention_time_ms {
            DEFAULT_RETENTION => -1,
            retention_ms => moment.wall_ms.saturating_add(retention_ms),
        };
        self.step(moment, |ctx, classics| {
            if let Some(classic) = classics.get(&group) {
                classic.on_commit(ctx, &request.member_id);
            }
            let mut response = OffsetCommitResponse::default();
            for topic in request.topics {
                let name: Arc<str> = topic.name.as_str().into();
                let topic_id = topic_id(ctx, &name, topic.topic_id);
                let one = |partition: OffsetCommitRequestPartition| {
                    let partition_index = partition.partition_index;
                    let commit = Commit {
                        topic: &name,
                        topic_id,
                        partition: partition_index,
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata,
                    };
                    let error_code = write(ctx, &group, commit, expire_timestamp, None);
                    OffsetCommitResponsePartition { partition_index, error_code }
                };
                let partitions = topic.partitions.into_iter().map(one).collect();
                let (name, topic_id) = (topic.name, topic.topic_id);
                response.topics.push(OffsetCommitResponseTopic { name, topic_id, partitions });
            }
            ctx.reply(ticket, GroupReply::OffsetCommit(response));
        })
    }

    /// Commits offsets as part of a transaction.
    pub(crate) fn transactional_commit(
        &mut self,
        ticket: Ticket,
        request: TxnOffsetCommitRequest,
        caller: &Caller,
        moment: Moment,
    ) -> Output<GroupReply> {
        let group: Arc<str> = Arc::from(request.group_id.as_str());
        let transaction = OpenTransaction { producer: request.producer_id, epoch: request.producer_epoch };
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation: request.generation_id,
            version: caller.version,
            transactional: true,
        };
        let partitions = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        let checked = self
            .check_transaction(&group, transaction)
            .and_then(|()| self.check_commit(&group, &committer))
            .and_then(|()| self.check_room(&group, partitions));
        if let Err(error) = checked {
            let reply = GroupReply::TxnOffsetCommit(refused_transactional_commit(&request, error));
            return Output::reply(ticket, reply);
        }
        self.step(moment, |ctx, _| {
            let mut response = TxnOffsetCommitResponse::default();
            for topic in request.topics {
                let name: Arc<str> = topic.name.as_str().into();
                let topic_id = topic_id(ctx, &name, TopicId::ZERO);
                let one = |partition: TxnOffsetCommitRequestPartition| {
                    let partition_index = partition.partition_index;
                    let commit = Commit {
                        topic: &name,
                        topic_id,
                        partition: partition_index,
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata,
                    };
                    let error_code = write(ctx, &group, commit, -1, Some(transaction));
                    TxnOffsetCommitResponsePartition { partition_index, error_code }
                };
                let partitions = topic.partitions.into_iter().map(one).collect();
                response.topics.push(TxnOffsetCommitResponseTopic { name: topic.name, partitions });
            }
            ctx.reply(ticket, GroupReply::TxnOffsetCommit(response));
        })
    }

    fn check_commit(&self, group: &Arc<str>, committer: &Committer<'_>) -> Result<(), ErrorCode> {
        let &Committer { member_id, instance_id, generation, version, transactional } = committer;
        if self.state().share(group).is_some() {
            return Err(ErrorCode::GROUP_ID_NOT_FOUND);
        }
        if let Some(consumer) = self.state().consumer(group) {
            return consumer.check_commit(member_id, instance_id, generation, version, transactional);
        }
        if let Some(classic) = self.classic(group) {
            return classic.check_commit(member_id, instance_id, generation, transactional);
        }
        let exists = self.state().group(group).is_some();
        match generation {
            ..0 => Ok(()),
            // Others have committed offsets to it, but it has no members.
            _ if exists => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            _ if version >= GROUP_NOT_FOUND_FROM && !transactional => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            _ => Err(ErrorCode::ILLEGAL_GENERATION),
        }
    }

    /// Kafka has no such bounds and no such errors; this one tells the client that it commits too much.
    fn check_room(&self, group: &Arc<str>, partitions: usize) -> Result<(), ErrorCode> {
        let has_room = match self.state().group(group) {
            Some(group) => group.offsets.len() + partitions <= limits::OFFSETS_PER_GROUP_MAX,
            None => {
                self.state().group_count() < limits::GROUPS_MAX && partitions <= limits::OFFSETS_PER_GROUP_MAX
            }
        };
        if has_room { Ok(()) } else { Err(ErrorCode::INVALID_COMMIT_OFFSET_SIZE) }
    }

    fn check_transaction(&self, group: &Arc<str>, transaction: OpenTransaction) -> Result<(), ErrorCode> {
        if transaction.producer < 0 || transaction.epoch < 0 {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        let Some(group) = self.state().group(group) else { return Ok(()) };
        if group.offsets.is_fenced(transaction) {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let is_full = group.offsets.open_transactions() >= limits::OPEN_TRANSACTIONS_PER_GROUP_MAX;
        if is_full && !group.offsets.is_open(transaction) {
            return Err(ErrorCode::INVALID_COMMIT_OFFSET_SIZE);
        }
        Ok(())
    }
}

/// The id the client named, or the one we know the topic by.
fn topic_id(ctx: &Context<'_>, name: &str, named: TopicId) -> TopicId {
    match named {
        TopicId::ZERO => ctx.config.topics.topic(name).map_or(TopicId::ZERO, |topic| topic.id),
        named => named,
    }
}

fn write(
    ctx: &mut Context<'_>,
    group: &Arc<str>,
    commit: Commit<'_>,
    expire_timestamp: i64,
    transaction: Option<OpenTransaction>,
) -> ErrorCode {
    if commit.topic.len() > limits::NAME_BYTES_MAX {
        return ErrorCode::INVALID_TOPIC_EXCEPTION;
    }
    let metadata = commit.metadata.unwrap_or_default();
    // Kafka counts Java's characters; the record has room for 32 KiB of bytes.
    let too_long = metadata.encode_utf16().count() > ctx.config.offset_metadata_bytes_max;
    if too_long || i16::try_from(metadata.len()).is_err() {
        return ErrorCode::OFFSET_METADATA_TOO_LARGE;
    }
    // The one version of the record that has an expiry has neither leader epoch nor topic id.
    let expires = expire_timestamp != -1;
    let value = OffsetCommitValue {
        offset: commit.offset,
        leader_epoch: if expires { -1 } else { commit.leader_epoch },
        metadata,
        commit_timestamp: ctx.moment.wall_ms,
        expire_timestamp,
        topic_id: if expires { TopicId::ZERO } else { commit.topic_id },
    };
    let record = GroupRecord::Offset {
        group: group.clone(),
        topic: commit.topic.clone(),
        partition: commit.partition,
        value: Some(value),
    };
    match transaction {
        Some(transaction) => ctx.write_in(transaction, record),
        None => ctx.write(record),
    }
    ErrorCode::NONE
}
