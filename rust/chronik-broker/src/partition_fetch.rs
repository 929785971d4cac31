//! One partition of a Fetch, from admission to its part of the answer, as steps that run inside the replica's shard.
//!
//! The order is the rule: refuse cheaply, pass the gate, then take one snapshot and answer from it alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_coord::ReadConsistency;
use chronik_mutants::{Mutant, planted};
use chronik_replica::{GateError, GatePass, Host, Index, ReadError, ReadView, Role};
use chronik_wire::batch::BatchHeader;
use chronik_wire::codec::Records;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::common::LeaderIdAndEpoch;
use chronik_wire::messages::fetch::{AbortedTransaction, EpochEndOffset, FetchPartition, PartitionData};
use chronik_wire::types::{LeaderEpoch, NodeId, Offset, PartitionKey};
use tokio::sync::oneshot;

use crate::errors;
use crate::preferred_replica::preferred;

/// What a fetch asks of one partition, resolved. Cheap to clone: it travels to the shard of the partition.
#[derive(Debug, Clone)]
pub(crate) struct FetchSpec {
    /// The partition.
    pub(crate) key: PartitionKey,
    /// What the client said.
    pub(crate) wanted: FetchPartition,
    /// The request's version.
    pub(crate) version: i16,
    /// `read_committed`: only up to the last stable offset.
    pub(crate) committed_only: bool,
    /// Which claims need the gate.
    pub(crate) consistency: ReadConsistency,
    /// Whether followers serve at all.
    pub(crate) followers_serve: bool,
    /// What was applied when the gate opened; nothing before.
    pub(crate) passed: Index,
    /// The client's rack and the racks of the live nodes, when a better replica may be named.
    pub(crate) racks: Option<Arc<Racks>>,
}

/// Who is where, for KIP-392.
#[derive(Debug)]
pub(crate) struct Racks {
    /// The client's.
    pub(crate) client: String,
    /// This node's.
    pub(crate) own: Option<String>,
    /// Those of the live nodes.
    pub(crate) live: BTreeMap<NodeId, String>,
}

/// What admission decided.
#[derive(Debug)]
pub(crate) enum Admission {
    /// The answer is known already: an error or a hint.
    Answered(Box<PartitionData>),
    /// No gate is needed for what this read will claim.
    Open(Role),
    /// The gate was entered.
    Gated(Role, oneshot::Receiver<Result<GatePass, GateError>>),
}

/// A partition's part of the answer.
#[derive(Debug)]
pub(crate) struct Served {
    /// The part.
    pub(crate) data: PartitionData,
    /// Whether the answer must leave now instead of waiting for more.
    pub(crate) final_answer: bool,
}

/// Steps 1 and 2: refuses what can be refused without a claim about the end, and enters the gate for the rest.
pub(crate) fn admit(host: &mut Host, spec: &FetchSpec, gate_deadline_ms: u64) -> Admission {
    let view = match host.view(spec.key) {
        Ok(view) => view,
        Err(error) => return Admission::Answered(Box::new(refused(spec, errors::replica(&error), None))),
    };
    if let Some(code) = refusal(spec, &view, view.role) {
        return Admission::Answered(Box::new(refused(spec, code, Some(&view))));
    }
    if let Some(replica) = better_replica(spec, &view) {
        return Admission::Answered(Box::new(redirected(spec, replica)));
    }
    if planted(Mutant::OutOfRangeWhenBehind) && spec.wanted.fetch_offset > view.high_watermark.0 {
        return Admission::Answered(Box::new(refused(spec, ErrorCode::OFFSET_OUT_OF_RANGE, Some(&view))));
    }
    let claims_the_end = spec.wanted.fetch_offset >= end(spec, &view).0;
    let mut gated = match spec.consistency {
        ReadConsistency::Linearizable => true,
        ReadConsistency::Tail => claims_the_end,
        ReadConsistency::Local => false,
    };
    if planted(Mutant::CommittedReadsUngated) && spec.committed_only {
        gated = false;
    }
    if gated {
        Admission::Gated(view.role, host.enter_gate(spec.key, gate_deadline_ms))
    } else {
        Admission::Open(view.role)
    }
}

/// What to answer when the gate could not be passed: never anything that looks like "nothing new".
pub(crate) fn gate_failed(
    host: &mut Host,
    spec: &FetchSpec,
    error: &GateError,
    role: Role,
    max_bytes: usize,
    at_least_one: bool,
) -> Served {
    if spec.consistency == ReadConsistency::Tail {
        // In this mode records below the applied end may be served whatever became of the gate.
        let served = serve(host, spec, role, max_bytes, at_least_one);
        if !served.data.records.is_empty() {
            return served;
        }
    }
    let view = host.view(spec.key).ok();
    if planted(Mutant::EmptyOnTimeout)
        && let Some(view) = &view
    {
        return final_answer(figures(spec, view));
    }
    let mut data = refused(spec, errors::fetch_gate(error.kind, spec.version), view.as_ref());
    if let Some(leader) = error.leader {
        data.current_leader.leader_id = leader.0;
    }
    Served { data, final_answer: true }
}

/// Steps 3 to 6: one snapshot, and an answer from it.
pub(crate) fn serve(
    host: &mut Host,
    spec: &FetchSpec,
    role_at_arrival: Role,
    max_bytes: usize,
    at_least_one: bool,
) -> Served {
    let view = match host.view(spec.key) {
        Ok(view) => view,
        Err(error) => return final_answer(refused(spec, errors::replica(&error), None)),
    };
    if let Some(code) = refusal(spec, &view, role_at_arrival) {
        return final_answer(refused(spec, code, Some(&view)));
    }
    if spec.wanted.current_leader_epoch > view.leader_epoch.0 {
        return final_answer(refused(spec, ErrorCode::UNKNOWN_LEADER_EPOCH, Some(&view)));
    }
    if let Some(diverging) = divergence(host, spec) {
        let mut data = figures(spec, &view);
        data.diverging_epoch = diverging;
        return final_answer(data);
    }
    let from = Offset(spec.wanted.fetch_offset);
    if from < view.log_start || from > view.high_watermark {
        return final_answer(refused(spec, ErrorCode::OFFSET_OUT_OF_RANGE, Some(&view)));
    }
    let end = end(spec, &view);
    let mut data = figures(spec, &view);
    if from < end {
        match host.read(spec.key, from, end, max_bytes, at_least_one) {
            Ok(batches) => {
                if spec.committed_only {
                    match aborted_among(host, spec.key, from, &batches) {
                        Ok(aborted) => data.aborted_transactions = Some(aborted),
                        Err(error) => return final_answer(refused(spec, errors::read(&error), Some(&view))),
                    }
                }
                data.records = batches.into_iter().collect::<Records>();
            }
            Err(error) => return final_answer(refused(spec, errors::read(&error), Some(&view))),
        }
    }
    Served { data, final_answer: false }
}

/// An error answer. It carries no watermarks: clients take them for claims.
pub(crate) fn refused(spec: &FetchSpec, code: ErrorCode, view: Option<&ReadView>) -> PartitionData {
    let mut data = PartitionData {
        partition_index: spec.wanted.partition,
        error_code: code,
        ..PartitionData::default()
    };
    let points_to_leader =
        code == ErrorCode::NOT_LEADER_OR_FOLLOWER || code == ErrorCode::FENCED_LEADER_EPOCH;
    let leader = view.filter(|_| points_to_leader).and_then(|view| Some((view.leader?, view.leader_epoch)));
    if let Some((leader, epoch)) = leader {
        data.current_leader = LeaderIdAndEpoch::new(leader, epoch);
    }
    data
}

fn final_answer(data: PartitionData) -> Served {
    Served { data, final_answer: true }
}

/// Step 1, and again at every later look: what makes this replica the wrong one to ask.
fn refusal(spec: &FetchSpec, view: &ReadView, role_at_arrival: Role) -> Option<ErrorCode> {
    if view.stopped {
        return Some(ErrorCode::KAFKA_STORAGE_ERROR);
    }
    if view.role == Role::Follower && !spec.followers_serve {
        return Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    let client_epoch = spec.wanted.current_leader_epoch;
    if client_epoch != LeaderEpoch::NONE.0 && client_epoch < view.leader_epoch.0 {
        return Some(ErrorCode::FENCED_LEADER_EPOCH);
    }
    if view.role != role_at_arrival {
        return Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    errors::check_pass(spec.passed, view).err()
}

fn better_replica(spec: &FetchSpec, view: &ReadView) -> Option<NodeId> {
    let racks = spec.racks.as_ref()?;
    preferred(view, &racks.client, racks.own.as_deref(), |node| racks.live.get(&node).cloned())
}

/// A hint claims nothing: no records, no watermarks.
pub(crate) fn redirected(spec: &FetchSpec, replica: NodeId) -> PartitionData {
    PartitionData {
        partition_index: spec.wanted.partition,
        preferred_read_replica: replica.0,
        ..PartitionData::default()
    }
}

fn end(spec: &FetchSpec, view: &ReadView) -> Offset {
    if spec.committed_only { view.last_stable_offset } else { view.high_watermark }
}

fn figures(spec: &FetchSpec, view: &ReadView) -> PartitionData {
    PartitionData {
        partition_index: spec.wanted.partition,
        high_watermark: view.high_watermark.0,
        last_stable_offset: view.last_stable_offset.0,
        log_start_offset: view.log_start.0,
        aborted_transactions: spec.committed_only.then(Vec::new),
        ..PartitionData::default()
    }
}

/// The aborted transactions that a reader of committed records must leave out of these batches.
fn aborted_among(
    host: &Host,
    key: PartitionKey,
    from: Offset,
    batches: &[Bytes],
) -> Result<Vec<AbortedTransaction>, ReadError> {
    let end = batches.last().and_then(|last| BatchHeader::parse(last).ok()).map(|last| last.next_offset());
    let aborted = end.map_or(Ok(Vec::new()), |end| host.aborted_transactions(key, from, end))?;
    let told = |aborted: chronik_replica::AbortedTransaction| AbortedTransaction {
        producer_id: aborted.producer,
        first_offset: aborted.first_offset.0,
    };
    Ok(aborted.into_iter().map(told).collect())
}

/// Where the client's log and this one part (KIP-595), if the client's last epoch ended here before its position.
fn divergence(host: &Host, spec: &FetchSpec) -> Option<EpochEndOffset> {
    let epoch = spec.wanted.last_fetched_epoch;
    if epoch == LeaderEpoch::NONE.0 {
        return None;
    }
    let end = host.epoch_end_offset(spec.key, LeaderEpoch(epoch)).ok()??;
    let diverges = end.epoch.0 < epoch || end.end_offset.0 < spec.wanted.fetch_offset;
    diverges.then_some(EpochEndOffset { epoch: end.epoch.0, end_offset: end.end_offset.0 })
}
