//! What the group coordinator is asked, and what it answers: Kafka's messages, one group at a time.
//!
//! Where a Kafka request names several groups (OffsetFetch, DescribeGroups, DeleteGroups, ...) its handler splits it and
//! joins the answers, since the groups may live on several partitions.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::consumer_group_describe::DescribedGroup as DescribedConsumerGroup;
use chronik_wire::messages::describe_groups::DescribedGroup;
use chronik_wire::messages::group_records::ShareTopicPartitions;
use chronik_wire::messages::leave_group::MemberResponse;
use chronik_wire::messages::list_groups::ListedGroup;
use chronik_wire::messages::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use chronik_wire::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use chronik_wire::messages::share_group_describe::DescribedGroup as DescribedShareGroup;
use chronik_wire::messages::txn_offset_commit::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use chronik_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse, SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};
use chronik_wire::types::TopicId;

/// A call, and who makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRequest {
    /// What is asked.
    pub call: GroupCall,
    /// Who asks.
    pub caller: Caller,
}

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The version of the Kafka request: some answers depend on it.
    pub version: i16,
    /// The client's name for itself, empty if it has none.
    pub client_id: String,
    /// Where it calls from, as Kafka shows it: `/127.0.0.1`.
    pub client_host: String,
}

/// What the coordinator of a group can be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupCall {
    /// Become a member, or join the next generation.
    Join(JoinGroupRequest),
    /// Hand in or fetch the assignment of a generation.
    Sync(SyncGroupRequest),
    /// Stay a member.
    Heartbeat(HeartbeatRequest),
    /// Stop being a member.
    Leave(LeaveGroupRequest),
    /// Commit offsets. Topics have names, whatever the version.
    OffsetCommit(OffsetCommitRequest),
    /// Commit offsets as part of a transaction.
    TxnOffsetCommit(TxnOffsetCommitRequest),
    /// Read committed offsets of one group. Topics have names, whatever the version.
    OffsetFetch {
        /// The group and the partitions; no list of topics means all of them.
        group: OffsetFetchRequestGroup,
        /// Whether offsets of open transactions are an error.
        require_stable: bool,
    },
    /// Forget offsets.
    OffsetDelete(OffsetDeleteRequest),
    /// Forget a group.
    DeleteGroup {
        /// The group.
        group_id: String,
    },
    /// Describe a classic group.
    Describe {
        /// The group.
        group_id: String,
    },
    /// List the groups of this partition.
    List {
        /// States to list, without regard to case; empty for all.
        states_filter: Vec<String>,
        /// Types to list, without regard to case; empty for all.
        types_filter: Vec<String>,
    },
    /// Everything a member of the newer protocol (KIP-848) has to say.
    ConsumerHeartbeat(ConsumerGroupHeartbeatRequest),
    /// Describe a group of the newer protocol.
    ConsumerDescribe {
        /// The group.
        group_id: String,
    },
    /// Everything a member of a share group (KIP-932) has to say.
    ShareHeartbeat(ShareGroupHeartbeatRequest),
    /// Describe a share group.
    ShareDescribe {
        /// The group.
        group_id: String,
    },
    /// What became of accounts that were ordered by a [`ShareBeginning`] or a [`GroupCall::ShareMove`].
    ShareBegun(ShareReport),
    /// Say which share-partitions of a group have accounts.
    ShareAccounts {
        /// The group.
        group_id: String,
    },
    /// Begin accounts of an empty share group somewhere else.
    ShareMove {
        /// The group; it need not exist.
        group_id: String,
        /// The partitions.
        topics: Vec<ShareTopicPartitions>,
    },
    /// Order that accounts of an empty share group be forgotten.
    ShareForget {
        /// The group.
        group_id: String,
        /// The topics; none for all.
        topics: Option<Vec<TopicId>>,
    },
    /// Accounts are forgotten.
    ShareForgotten {
        /// The group.
        group_id: String,
        /// The topics of which no account is left.
        topics: Vec<TopicId>,
    },
}

/// Accounts that share coordinators are to begin before members can read.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareBeginning {
    /// The epoch of the accounts.
    pub state_epoch: i32,
    /// The partitions.
    pub topics: Vec<ShareTopicPartitions>,
}

/// What became of accounts that were to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareReport {
    /// The group.
    pub group_id: String,
    /// The member whose heartbeat ordered them, if one did: it is answered with what it then has.
    pub member_id: Option<String>,
    /// Those that have begun.
    pub begun: Vec<ShareTopicPartitions>,
    /// Those that could not begin.
    pub failed: Vec<ShareTopicPartitions>,
}

/// What the coordinator answers, in the shape of the call.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupReply {
    /// Answer to [`GroupCall::Join`].
    Join(JoinGroupResponse),
    /// Answer to [`GroupCall::Sync`].
    Sync(SyncGroupResponse),
    /// Answer to [`GroupCall::Heartbeat`].
    Heartbeat(HeartbeatResponse),
    /// Answer to [`GroupCall::Leave`].
    Leave(LeaveGroupResponse),
    /// Answer to [`GroupCall::OffsetCommit`].
    OffsetCommit(OffsetCommitResponse),
    /// Answer to [`GroupCall::TxnOffsetCommit`].
    TxnOffsetCommit(TxnOffsetCommitResponse),
    /// Answer to [`GroupCall::OffsetFetch`].
    OffsetFetch(OffsetFetchResponseGroup),
    /// Answer to [`GroupCall::OffsetDelete`].
    OffsetDelete(OffsetDeleteResponse),
    /// Answer to [`GroupCall::DeleteGroup`].
    DeleteGroup(ErrorCode),
    /// Answer to [`GroupCall::Describe`].
    Describe(DescribedGroup),
    /// Answer to [`GroupCall::List`].
    List(Vec<ListedGroup>),
    /// Answer to [`GroupCall::ConsumerHeartbeat`].
    ConsumerHeartbeat(ConsumerGroupHeartbeatResponse),
    /// Answer to [`GroupCall::ConsumerDescribe`].
    ConsumerDescribe(DescribedConsumerGroup),
    /// Answer to [`GroupCall::ShareHeartbeat`] and [`GroupCall::ShareBegun`].
    ShareHeartbeat {
        /// The answer.
        response: ShareGroupHeartbeatResponse,
        /// What the share coordinators are to do first; [`GroupCall::ShareBegun`] tells of it and has the newer answer.
        begin: Option<ShareBeginning>,
    },
    /// Answer to [`GroupCall::ShareDescribe`].
    ShareDescribe(DescribedShareGroup),
    /// Answer to [`GroupCall::ShareAccounts`]: nothing for a group that does not exist.
    ShareAccounts(Result<Vec<ShareTopicPartitions>, ErrorCode>),
    /// Answer to [`GroupCall::ShareMove`]: the epoch that the accounts are to begin with.
    ShareMove(Result<i32, ErrorCode>),
    /// Answer to [`GroupCall::ShareForget`], with the partitions, and to [`GroupCall::ShareForgotten`].
    ShareForget(Result<Vec<ShareTopicPartitions>, ErrorCode>),
}

impl GroupRequest {
    /// Whether the answer only says what is so: it must not be given before the read gate was passed.
    pub fn is_read(&self) -> bool {
        matches!(
            self.call,
            GroupCall::OffsetFetch { .. }
                | GroupCall::Describe { .. }
                | GroupCall::List { .. }
                | GroupCall::ConsumerDescribe { .. }
                | GroupCall::ShareDescribe { .. }
                | GroupCall::ShareAccounts { .. }
        )
    }
}

impl GroupCall {
    /// The group the call is about; none for a list of groups.
    pub fn group_id(&self) -> Option<&str> {
        match self {
            GroupCall::Join(request) => Some(&request.group_id),
            GroupCall::Sync(request) => Some(&request.group_id),
            GroupCall::Heartbeat(request) => Some(&request.group_id),
            GroupCall::Leave(request) => Some(&request.group_id),
            GroupCall::OffsetCommit(request) => Some(&request.group_id),
            GroupCall::TxnOffsetCommit(request) => Some(&request.group_id),
            GroupCall::OffsetFetch { group, .. } => Some(&group.group_id),
            GroupCall::OffsetDelete(request) => Some(&request.group_id),
            GroupCall::ConsumerHeartbeat(request) => Some(&request.group_id),
            GroupCall::ShareHeartbeat(request) => Some(&request.group_id),
            GroupCall::ShareBegun(report) => Some(&report.group_id),
            GroupCall::DeleteGroup { group_id }
            | GroupCall::Describe { group_id }
            | GroupCall::ConsumerDescribe { group_id }
            | GroupCall::ShareDescribe { group_id }
            | GroupCall::ShareAccounts { group_id }
            | GroupCall::ShareMove { group_id, .. }
            | GroupCall::ShareForget { group_id, .. }
            | GroupCall::ShareForgotten { group_id, .. } => Some(group_id),
            GroupCall::List { .. } => None,
        }
    }

    /// The answer in this call's shape that says nothing but `error`. A list of groups has no room for an error and is
    /// empty: its handler says what went wrong.
    pub fn refusal(&self, error: ErrorCode) -> GroupReply {
        match self {
            GroupCall::Join(request) => GroupReply::Join(JoinGroupResponse {
                error_code: error,
                member_id: request.member_id.clone(),
                protocol_name: None,
                ..Default::default()
            }),
            GroupCall::Sync(_) => {
                GroupReply::Sync(SyncGroupResponse { error_code: error, ..Default::default() })
            }
            GroupCall::Heartbeat(_) => {
                GroupReply::Heartbeat(HeartbeatResponse { error_code: error, ..Default::default() })
            }
            GroupCall::Leave(request) => GroupReply::Leave(LeaveGroupResponse {
                error_code: error,
                members: refused_members(request, error),
                ..Default::default()
            }),
            GroupCall::OffsetCommit(request) => GroupReply::OffsetCommit(refused_commit(request, error)),
            GroupCall::TxnOffsetCommit(request) => {
                GroupReply::TxnOffsetCommit(refused_transactional_commit(request, error))
            }
            GroupCall::OffsetFetch { group, .. } => GroupReply::OffsetFetch(OffsetFetchResponseGroup {
                group_id: group.group_id.clone(),
                error_code: error,
                ..Default::default()
            }),
            GroupCall::OffsetDelete(_) => {
                GroupReply::OffsetDelete(OffsetDeleteResponse { error_code: error, ..Default::default() })
            }
            GroupCall::DeleteGroup { .. } => GroupReply::DeleteGroup(error),
            GroupCall::Describe { group_id } => GroupReply::Describe(DescribedGroup {
                error_code: error,
                group_id: group_id.clone(),
                ..Default::default()
            }),
            GroupCall::List { .. } => GroupReply::List(Vec::new()),
            GroupCall::ConsumerHeartbeat(_) => {
                GroupReply::ConsumerHeartbeat(ConsumerGroupHeartbeatResponse {
                    error_code: error,
                    ..Default::default()
                })
            }
            GroupCall::ConsumerDescribe { group_id } => {
                GroupReply::ConsumerDescribe(DescribedConsumerGroup {
                    error_code: error,
                    group_id: group_id.clone(),
                    ..Default::default()
                })
            }
            GroupCall::ShareHeartbeat(_) | GroupCall::ShareBegun(_) => GroupReply::ShareHeartbeat {
                response: ShareGroupHeartbeatResponse { error_code: error, ..Default::default() },
                begin: None,
            },
            GroupCall::ShareDescribe { group_id } => GroupReply::ShareDescribe(DescribedShareGroup {
                error_code: error,
                group_id: group_id.clone(),
                ..Default::default()
            }),
            GroupCall::ShareAccounts { .. } => GroupReply::ShareAccounts(Err(error)),
            GroupCall::ShareMove { .. } => GroupReply::ShareMove(Err(error)),
            GroupCall::ShareForget { .. } | GroupCall::ShareForgotten { .. } => {
                GroupReply::ShareForget(Err(error))
            }
        }
    }
}

fn refused_members(request: &LeaveGroupRequest, error: ErrorCode) -> Vec<MemberResponse> {
    let refused = |member: &chronik_wire::messages::leave_group::MemberIdentity| MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: error,
    };
    request.members.iter().map(refused).collect()
}

/// Every partition of a commit with the same error.
pub(crate) fn refused_commit(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error,
            })
            .collect(),
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

/// Every partition of a transaction's commit with the same error.
pub(crate) fn refused_transactional_commit(
    request: &TxnOffsetCommitRequest,
    error: ErrorCode,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error,
            })
            .collect(),
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
