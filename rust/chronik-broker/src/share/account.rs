//! The way to the share coordinator: here if this node has it, else by a request to the node that has.
//!
//! A question is asked again until there is an answer or the time is over. That is harmless: what is written twice counts
//! once.

use std::rc::Rc;

use chronik_coord::share::{
    ShareAccount, ShareAnswer, ShareCall, ShareCoordinator, ShareKey, ShareReply, ShareRequest, ShareSummary,
    read_batches, wire_batches,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::delete_share_group_state::{self as delete, DeleteShareGroupStateRequest};
use chronik_wire::messages::initialize_share_group_state::{
    self as initialize, InitializeShareGroupStateRequest,
};
use chronik_wire::messages::read_share_group_state::{self as read, ReadShareGroupStateRequest};
use chronik_wire::messages::read_share_group_state_summary::{
    self as summary, ReadShareGroupStateSummaryRequest,
};
use chronik_wire::messages::write_share_group_state::{self as write, WriteShareGroupStateRequest};
use chronik_wire::types::{LeaderEpoch, NodeId, Offset};

use crate::broker::Broker;
use crate::coordination::{InternalTopic, NoCoordinator};
use crate::limits;
use crate::world::until;

const SUMMARY_VERSION: i16 = 1;
const WRITE_VERSION: i16 = 1;
const ONLY_VERSION: i16 = 0;

impl Broker {
    /// Asks the share coordinator of a share-partition.
    ///
    /// # Errors
    /// What it says, or 15 if nobody has said anything by `deadline_ms`.
    pub(crate) async fn ask_share_coordinator(
        self: &Rc<Self>,
        key: &ShareKey,
        call: &ShareCall,
        deadline_ms: u64,
    ) -> ShareReply {
        let name = key.name();
        let mut view_changes = self.node.subscribe_view();
        loop {
            view_changes.borrow_and_update();
            if let Some(reply) = self.ask_share_coordinator_once(&name, key, call, deadline_ms).await {
                return reply;
            }
            let now_ms = self.world.now_ms();
            if now_ms >= deadline_ms {
                return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
            }
            let pause_ms = (now_ms + limits::OFFICE_RETRY_MS).min(deadline_ms);
            until(&*self.world, pause_ms, view_changes.changed()).await;
        }
    }

    /// `None` if there is no coordinator now, or it did not get to an answer.
    async fn ask_share_coordinator_once(
        self: &Rc<Self>,
        name: &str,
        key: &ShareKey,
        call: &ShareCall,
        deadline_ms: u64,
    ) -> Option<ShareReply> {
        self.coordinator_partition(InternalTopic::ShareGroupState, name, deadline_ms).await.ok()?;
        let reply = match self.coordinated_here::<ShareCoordinator>(name) {
            Ok(office) => {
                let request = ShareRequest { key: key.clone(), call: call.clone() };
                self.ask_office::<ShareCoordinator>(office, request).await?
            }
            Err(NoCoordinator::Elsewhere(node, _)) => {
                self.ask_share_node(node, key, call, deadline_ms).await?
            }
            Err(NoCoordinator::Unavailable | NoCoordinator::Loading) => return None,
        };
        let not_now = [
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ];
        match reply {
            Err(code) if not_now.contains(&code) => None,
            reply => Some(reply),
        }
    }

    async fn ask_share_node(
        self: &Rc<Self>,
        node: NodeId,
        key: &ShareKey,
        call: &ShareCall,
        deadline_ms: u64,
    ) -> Option<ShareReply> {
        let deadline_ms = deadline_ms.min(self.world.now_ms() + limits::SHARE_CALL_MS);
        let (group_id, topic_id, partition) = (key.group.to_string(), key.topic, key.partition.0);
        let done = |code: ErrorCode| if code == ErrorCode::NONE { Ok(ShareAnswer::Done) } else { Err(code) };
        match call {
            ShareCall::Initialize { state_epoch, start } => {
                let (state_epoch, start_offset) = (*state_epoch, start.0);
                let partitions = vec![initialize::PartitionData { partition, state_epoch, start_offset }];
                let topics = vec![initialize::InitializeStateData { topic_id, partitions }];
                let request = InitializeShareGroupStateRequest { group_id, topics };
                let response = self.served_by(node, ONLY_VERSION, &request, deadline_ms).await?;
                let result = response.results.into_iter().flat_map(|topic| topic.partitions).next()?;
                Some(done(result.error_code))
            }
            ShareCall::Write { state_epoch, leader_epoch, start, batches } => {
                let data = write::PartitionData {
                    partition,
                    state_epoch: *state_epoch,
                    leader_epoch: leader_epoch.0,
                    start_offset: start.0,
                    state_batches: wire_batches(batches),
                    ..write::PartitionData::default()
                };
                let topics = vec![write::WriteStateData { topic_id, partitions: vec![data] }];
                let request = WriteShareGroupStateRequest { group_id, topics };
                let response = self.served_by(node, WRITE_VERSION, &request, deadline_ms).await?;
                let result = response.results.into_iter().flat_map(|topic| topic.partitions).next()?;
                Some(done(result.error_code))
            }
            ShareCall::Delete => {
                let partitions = vec![delete::PartitionData { partition }];
                let topics = vec![delete::DeleteStateData { topic_id, partitions }];
                let request = DeleteShareGroupStateRequest { group_id, topics };
                let response = self.served_by(node, ONLY_VERSION, &request, deadline_ms).await?;
                let result = response.results.into_iter().flat_map(|topic| topic.partitions).next()?;
                Some(done(result.error_code))
            }
            ShareCall::Read { leader_epoch } => {
                let partitions = vec![read::PartitionData { partition, leader_epoch: leader_epoch.0 }];
                let topics = vec![read::ReadStateData { topic_id, partitions }];
                let request = ReadShareGroupStateRequest { group_id, topics };
                let response = self.served_by(node, ONLY_VERSION, &request, deadline_ms).await?;
                let result = response.results.into_iter().flat_map(|topic| topic.partitions).next()?;
                Some(account(&result))
            }
            ShareCall::Summarize => {
                let leader_epoch = LeaderEpoch::NONE.0;
                let partitions = vec![summary::PartitionData { partition, leader_epoch }];
                let topics = vec![summary::ReadStateSummaryData { topic_id, partitions }];
                let request = ReadShareGroupStateSummaryRequest { group_id, topics };
                let response = self.served_by(node, SUMMARY_VERSION, &request, deadline_ms).await?;
                let result = response.results.into_iter().flat_map(|topic| topic.partitions).next()?;
                Some(summarized(&result))
            }
        }
    }
}

fn account(result: &read::PartitionResult) -> ShareReply {
    if result.error_code != ErrorCode::NONE {
        return Err(result.error_code);
    }
    let batches = read_batches(&result.state_batches).map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
    let (state_epoch, start) = (result.state_epoch, Offset(result.start_offset));
    Ok(ShareAnswer::Account(ShareAccount { state_epoch, start, batches }))
}

fn summarized(result: &summary::PartitionResult) -> ShareReply {
    if result.error_code != ErrorCode::NONE {
        return Err(result.error_code);
    }
    Ok(ShareAnswer::Summary(ShareSummary {
        state_epoch: result.state_epoch,
        leader_epoch: LeaderEpoch(result.leader_epoch),
        start: Offset(result.start_offset),
        complete_count: result.delivery_complete_count,
    }))
}
