//! ShareFetch (key 78), versions 1-2.
//!
//! Behaviour: a member gets records of the partitions of its share session that nobody else has, with locks that run on
//! the broker clock; says what became of those it had; both at once, and neither waits for the other. Every partition is
//! confirmed to be led here by its read gate first. Without records the answer waits until there are some, or
//! `max_wait_ms` is over. What is said counts, and is answered, when the share coordinator has it written down. A
//! partition that is led elsewhere is answered with its leader.
//! Quotas: the bytes served count against `consumer_byte_rate`, as for a fetch.
//! Versions: 2 strict limits (KIP-1206), renewed locks (KIP-1222).
//! Not done: the pinned address, behind which records of other leaders are not to be had (6).
//! Tests: tests/share_fetches.rs, tests/clients/test_share_groups.py.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use chronik_coord::share::{AcquireMode, AcquiredRange, Wanted};
use chronik_wire::codec::Records;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::share_fetch::{
    AcquiredRecords, PartitionData, ShareFetchRequest, ShareFetchResponse, ShareFetchableTopicResponse,
};
use chronik_wire::types::PartitionKey;
use tokio::sync::{oneshot, watch};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::counters::count;
use crate::limits;
use crate::parked::Parked;
use crate::quotas::{Direction, Quota};
use crate::share::acknowledging::Said;
use crate::share::{Acquired, ShareAsk, ShareDoor, ShareMember};
use crate::world::until;

const RENEWALS_FROM: i16 = 2;
const RECORD_LIMIT: i8 = 1;

/// A partition as a session names it.
type SharedPartition = (chronik_wire::types::TopicId, i32);

pub(crate) async fn handle(context: Context, mut request: ShareFetchRequest) -> Answer<ShareFetchResponse> {
    let refused = |code| Ok(Some(ShareFetchResponse { error_code: code, ..ShareFetchResponse::default() }));
    let who = match ShareMember::named(request.group_id.as_ref(), request.member_id.as_ref()) {
        Ok(who) => who,
        Err(code) => return refused(code),
    };
    let renews = context.version >= RENEWALS_FROM && request.is_renew_ack;
    let wants = request.max_bytes | request.min_bytes | request.max_records | request.max_wait_ms;
    if renews && wants != 0 {
        return refused(ErrorCode::INVALID_REQUEST);
    }
    if request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>()
        > limits::REQUEST_PARTITIONS_MAX
    {
        return Err(CloseReason::Unanswerable("a share fetch request names too many partitions"));
    }
    let plan = match context.broker.begin_share_fetch(&context, &who, &request) {
        Ok(plan) => plan,
        Err(ErrorCode::SHARE_SESSION_LIMIT_REACHED) => {
            // A client that is refused at once asks again at once.
            context.broker.world.sleep_until(park_deadline_ms(&context, &request)).await;
            return refused(ErrorCode::SHARE_SESSION_LIMIT_REACHED);
        }
        Err(code) => return refused(code),
    };
    let said = take_said(&mut request);
    let fetches = !plan.closes && !renews && request.max_records > 0 && request.max_bytes > 0;
    let partitions = if fetches { plan.partitions } else { Vec::new() };
    let named: Vec<SharedPartition> = said.iter().map(|(partition, _)| *partition).collect();
    let acknowledging = context.broker.acknowledge_shares(who.clone(), said, renews);
    let fetching = Fetching::new(&context, &who, &request).run(partitions);
    let (codes, parts) = tokio::join!(acknowledging, fetching);
    if plan.closes {
        context.broker.node.close_share_session(&who, None);
    }
    Ok(Some(respond(&context, &who, parts, named.into_iter().zip(codes).collect())))
}

fn park_deadline_ms(context: &Context, request: &ShareFetchRequest) -> u64 {
    let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0).min(limits::FETCH_WAIT_MS_MAX);
    context.arrived_ms + wait_ms
}

/// What the request says of records, by partition.
fn take_said(request: &mut ShareFetchRequest) -> Vec<Said> {
    let topics = request.topics.iter_mut();
    let partitions =
        topics.flat_map(|topic| topic.partitions.iter_mut().map(|partition| (topic.topic_id, partition)));
    let said = partitions.map(|(topic, partition)| {
        ((topic, partition.partition_index), std::mem::take(&mut partition.acknowledgement_batches))
    });
    said.filter(|(_, batches)| !batches.is_empty()).collect()
}

/// One partition of the fetch.
struct Part {
    partition: SharedPartition,
    /// Its key and the way to its leader, once it is known to be led here.
    leader: Option<(PartitionKey, ShareDoor)>,
    error: ErrorCode,
    acquired: Acquired,
}

struct Fetching {
    context: Context,
    who: ShareMember,
    mode: AcquireMode,
    records_max: i64,
    batch_records: i64,
    bytes_max: usize,
    quota: Option<Quota>,
    gate_deadline_ms: u64,
    park_deadline_ms: u64,
}

/// What a fetch came to.
struct Fetched {
    parts: Vec<Part>,
    quota: Option<Quota>,
}

impl Fetching {
    fn new(context: &Context, who: &ShareMember, request: &ShareFetchRequest) -> Fetching {
        let quota = context.quota(Direction::Fetch);
        let room_bytes = quota.as_ref().map_or(limits::FETCH_RESPONSE_BYTES_MAX, Quota::room_bytes);
        let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0);
        let strict = context.version >= RENEWALS_FROM && request.share_acquire_mode == RECORD_LIMIT;
        let park_deadline_ms = park_deadline_ms(context, request);
        let gate_cap_ms = context.broker.node.config.gate_cap_ms;
        let gate_ms = (park_deadline_ms - context.arrived_ms).max(limits::GATE_WAIT_MS_MIN).min(gate_cap_ms);
        Fetching {
            context: context.clone(),
            who: who.clone(),
            mode: if strict { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized },
            records_max: request.max_records.into(),
            batch_records: request.batch_size.max(1).into(),
            bytes_max: bytes_max.min(limits::FETCH_RESPONSE_BYTES_MAX).min(room_bytes),
            quota,
            gate_deadline_ms: context.arrived_ms + gate_ms,
            park_deadline_ms,
        }
    }

    async fn run(self, partitions: Vec<SharedPartition>) -> Fetched {
        let broker = &self.context.broker;
        let led = self.context.led_here(&partitions, self.gate_deadline_ms).await;
        let part = |(partition, led): (SharedPartition, Result<_, ErrorCode>)| {
            let leader = led.map(|(key, epoch)| (key, broker.share_leader(&self.who.group, key, epoch)));
            let (leader, error) = match leader {
                Ok(leader) => (Some(leader), ErrorCode::NONE),
                Err(code) => (None, code),
            };
            Part { partition, leader, error, acquired: Acquired::default() }
        };
        let mut parts: Vec<Part> = partitions.into_iter().zip(led).map(part).collect();
        self.look(&mut parts).await;
        if !is_answer(&parts) {
            self.park(&mut parts).await;
        }
        Fetched { parts, quota: self.quota }
    }

    /// Asks every leader for what there is, within what is left of the limits.
    async fn look(&self, parts: &mut [Part]) {
        let (mut records, mut bytes) = (0, 0);
        for part in parts {
            let Some((_, door)) = part.leader.as_mut().filter(|_| part.error == ErrorCode::NONE) else {
                continue;
            };
            if records >= self.records_max || bytes >= self.bytes_max {
                return;
            }
            door.changes.borrow_and_update();
            let wanted = Wanted {
                member: Arc::clone(&self.who.member),
                records_max: self.records_max - records,
                batch_records: self.batch_records,
                mode: self.mode,
            };
            let (reply, answer) = oneshot::channel();
            let ask = ShareAsk::Fetch { wanted, bytes_max: self.bytes_max - bytes, reply };
            let asked = async {
                door.inbox.send(ask).await.map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
                answer.await.map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)?
            };
            let deadline_ms = self.gate_deadline_ms.max(self.park_deadline_ms);
            match until(&*self.context.broker.world, deadline_ms, asked).await {
                Some(Ok(acquired)) => {
                    records += acquired.ranges.iter().map(range_records).sum::<i64>();
                    bytes += acquired.batches.iter().map(|batch| batch.len()).sum::<usize>();
                    part.acquired = acquired;
                }
                Some(Err(code)) => part.error = code,
                // Its account is not known yet: where to begin cannot be said.
                None => part.error = ErrorCode::OFFSET_NOT_AVAILABLE,
            }
        }
    }

    /// Waits until there is something: in the log, or because somebody has given it back.
    async fn park(&self, parts: &mut [Part]) {
        let broker = &self.context.broker;
        let keys: Vec<PartitionKey> =
            parts.iter().filter_map(|part| part.leader.as_ref()).map(|(key, _)| *key).collect();
        if broker.world.now_ms() >= self.park_deadline_ms {
            return;
        }
        count(&broker.node.counters.share_fetches_parked);
        let parked = Parked::new(broker.hosts.clone(), keys).await;
        loop {
            // Something may have come since the last look; from here on a change wakes.
            self.look(parts).await;
            if is_answer(parts) {
                return;
            }
            let doors = parts.iter_mut().filter_map(|part| part.leader.as_mut());
            let given_back = any_change(doors.map(|(_, door)| &mut door.changes).collect());
            let change = async {
                tokio::select! {
                    biased;
                    _ = parked.waiter.wait() => {}
                    () = given_back => {}
                }
            };
            if until(&*broker.world, self.park_deadline_ms, change).await.is_none() {
                return;
            }
        }
    }
}

/// Completes when one of them changes or is gone; never without any.
async fn any_change(receivers: Vec<&mut watch::Receiver<u64>>) {
    let mut changes: Vec<_> = receivers.into_iter().map(|receiver| Box::pin(receiver.changed())).collect();
    poll_fn(|task| {
        let changed = changes.iter_mut().any(|change| Pin::as_mut(change).poll(task).is_ready());
        if changed { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Whether nothing more is waited for: records, which run out of time from now on, or an error.
fn is_answer(parts: &[Part]) -> bool {
    parts.iter().any(|part| part.error != ErrorCode::NONE || !part.acquired.ranges.is_empty())
}

fn range_records(range: &AcquiredRange) -> i64 {
    range.last.0 - range.first.0 + 1
}

fn respond(
    context: &Context,
    who: &ShareMember,
    fetched: Fetched,
    said: Vec<(SharedPartition, ErrorCode)>,
) -> ShareFetchResponse {
    let mut results: Vec<(SharedPartition, PartitionData)> = Vec::new();
    let mut bytes = 0;
    for part in fetched.parts {
        context.broker.node.counters.count_code(part.error);
        if part.error == ErrorCode::NONE && part.acquired.ranges.is_empty() {
            continue;
        }
        bytes += part.acquired.batches.iter().map(|batch| batch.len()).sum::<usize>();
        results.push((part.partition, of_part(part)));
    }
    for (partition, code) in said {
        let place = results.iter().position(|(known, _)| *known == partition);
        let data = match place.and_then(|place| results.get_mut(place)) {
            Some((_, data)) => data,
            None => {
                results.push((partition, of_index(partition)));
                let Some((_, data)) = results.last_mut() else { continue };
                data
            }
        };
        data.acknowledge_error_code = code;
    }
    results.sort_by_key(|(partition, _)| *partition);
    let codes = results.iter().map(|(partition, data)| (*partition, worst(data)));
    let (hints, node_endpoints) = context.share_hints(codes);
    let lock_ms = context.broker.share_rules(&who.group).delivery.lock_duration_ms;
    let mut responses: Vec<ShareFetchableTopicResponse> = Vec::new();
    for (((topic_id, _), mut data), current_leader) in results.into_iter().zip(hints) {
        data.current_leader = current_leader;
        match responses.last_mut().filter(|last| last.topic_id == topic_id) {
            Some(last) => last.partitions.push(data),
            None => responses.push(ShareFetchableTopicResponse { topic_id, partitions: vec![data] }),
        }
    }
    ShareFetchResponse {
        throttle_time_ms: fetched.quota.as_ref().map_or(0, |quota| context.charge(quota, bytes)),
        acquisition_lock_timeout_ms: i32::try_from(lock_ms).unwrap_or(i32::MAX),
        responses,
        node_endpoints,
        ..ShareFetchResponse::default()
    }
}

fn of_index((_, partition_index): SharedPartition) -> PartitionData {
    PartitionData { partition_index, ..PartitionData::default() }
}

fn of_part(part: Part) -> PartitionData {
    let acquired = |range: &AcquiredRange| AcquiredRecords {
        first_offset: range.first.0,
        last_offset: range.last.0,
        delivery_count: range.delivery_count,
    };
    PartitionData {
        error_code: part.error,
        acquired_records: part.acquired.ranges.iter().map(acquired).collect(),
        records: part.acquired.batches.into_iter().collect::<Records>(),
        ..of_index(part.partition)
    }
}

/// The code that says whether the leader is another one.
fn worst(data: &PartitionData) -> ErrorCode {
    if data.error_code == ErrorCode::NONE { data.acknowledge_error_code } else { data.error_code }
}

impl crate::broker::Broker {
    fn begin_share_fetch(
        self: &Rc<Self>,
        context: &Context,
        who: &ShareMember,
        request: &ShareFetchRequest,
    ) -> Result<crate::share::SessionPlan, ErrorCode> {
        let plan = self.node.begin_share_fetch(who, request)?;
        if let Some(number) = plan.opened {
            count(&self.node.counters.share_sessions_opened);
            context.connection.share_sessions.tie(&self.node, who, number);
        }
        Ok(plan)
    }
}
