//! Fetch (key 1), versions 4-18.
//!
//! Behaviour: any replica serves; passes the read gate; answers each partition from one snapshot; an error answer
//! carries no watermarks; parks until `min_bytes` or the deadline, woken by apply; several partitions fail one by one,
//! and one whose gate is still pending holds back the others' records for 250 ms at most. At a leader, a consumer that
//! names its rack is told of a follower there (KIP-392), except on the pinned address; a follower that cannot pass its
//! gate sends such a consumer back to the leader, if it knows one, with an answer that claims nothing.
//! Quotas: the bytes served count against `consumer_byte_rate`; over it the answer says how long the client should wait,
//! and its connection waits as long.
//! Versions: 7 sessions (KIP-227) · 9 leader epoch · 11 rack (KIP-392) · 12 divergence · 13 topic ids · 16 leader hint
//! with its endpoint (KIP-951; the field exists from 12, an address to go with it does not).
//! Not done: 15 replica state (replication between brokers does not use Fetch).
//! Tests: fetch tests of this crate, tests/test_read_your_writes.py, tests/test_rack_consumers.py.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use chronik_mutants::{Mutant, planted};
use chronik_replica::{GateError, GateErrorKind, GatePass, Index, Role};
use chronik_wire::api::ApiKey;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::common::LeaderIdAndEpoch;
use chronik_wire::messages::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use chronik_wire::types::PartitionKey;
use tokio::sync::oneshot;

use super::{Answer, Context};
use crate::broker::Broker;
use crate::connection::CloseReason;
use crate::counters::count;
use crate::fetch_session::{PlanKind, Wanted};
use crate::interception::{Named, Refused};
use crate::leader_hint::endpoints;
use crate::limits;
use crate::parked::Parked;
use crate::partition_fetch::{
    Admission, FetchSpec, Racks, Served, admit, gate_failed, redirected, refused, serve,
};
use crate::quotas::{Direction, Quota};
use crate::topics::{TopicName, find_partition};
use crate::world::until;

const RACK_FROM: i16 = 11;
const BY_ID_FROM: i16 = 13;
const ENDPOINTS_FROM: i16 = 16;
const READ_COMMITTED: i8 = 1;
/// A gate answers by its deadline; this much later it is taken for lost.
const GATE_GRACE_MS: u64 = 500;

/// Where one partition of the fetch stands.
enum State {
    /// Its topic is not known here yet.
    Unknown,
    /// At the gate.
    Gated(Role, oneshot::Receiver<Result<GatePass, GateError>>),
    /// Through the gate, or in need of none.
    Open(Role),
    /// Its answer will not change any more.
    Final,
}

/// One partition of the fetch.
struct Part {
    topic: TopicName,
    spec: FetchSpec,
    state: State,
    result: PartitionData,
    role: Option<Role>,
    gate_waited: bool,
}

struct Fetch {
    context: Context,
    parts: Vec<Part>,
    quota: Option<Quota>,
    max_bytes: usize,
    min_bytes: usize,
    gate_deadline_ms: u64,
    park_deadline_ms: u64,
}

pub(crate) async fn handle(mut context: Context, request: FetchRequest) -> Answer<FetchResponse> {
    if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
        return Err(CloseReason::Unanswerable("replication between brokers does not use fetch requests"));
    }
    let broker = std::rc::Rc::clone(&context.broker);
    let version = context.version;
    let plan = match broker.begin_session(&request, version) {
        Ok(plan) => plan,
        Err(code) => return Ok(Some(FetchResponse { error_code: code, ..FetchResponse::default() })),
    };
    if plan.wanted.len() > limits::FETCH_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a fetch request names too many partitions"));
    }
    let named = || Named::Topics(plan.wanted.iter().map(|(topic, _)| topic.clone()).collect());
    let intercepted = context.intercepted(ApiKey::Fetch, named).await;
    let mut fetch = Fetch::new(context, &request, plan.wanted);
    if let Some(refused) = intercepted {
        fetch.refuse(&refused);
    }
    fetch.admit((0..fetch.parts.len()).collect()).await;
    fetch.look_up_unknown().await;
    fetch.pass_gates().await;
    if !fetch.is_answer() {
        fetch.park().await;
    }
    Ok(Some(fetch.respond(plan.session)))
}

impl Fetch {
    fn new(context: Context, request: &FetchRequest, wanted: Vec<Wanted>) -> Fetch {
        let config = &context.broker.node.config;
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0).min(limits::FETCH_WAIT_MS_MAX);
        let gate_ms = wait_ms.max(limits::GATE_WAIT_MS_MIN).min(config.gate_cap_ms);
        let racks = racks(&context, &request.rack_id);
        let quota = context.quota(Direction::Fetch);
        // More than the quota lets through at once would keep the client waiting for longer than it listens.
        let room_bytes = quota.as_ref().map_or(limits::FETCH_RESPONSE_BYTES_MAX, Quota::room_bytes);
        let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0);
        let max_bytes = max_bytes.min(limits::FETCH_RESPONSE_BYTES_MAX).min(room_bytes);
        let part = |(topic, wanted)| {
            let spec = FetchSpec {
                key: PartitionKey::META,
                wanted,
                version: context.version,
                committed_only: request.isolation_level == READ_COMMITTED,
                consistency: chronik_coord::ReadConsistency::Linearizable,
                followers_serve: config.fetch_from_followers,
                passed: Index::ZERO,
                racks: racks.clone(),
            };
            let result = PartitionData::default();
            Part { topic, spec, state: State::Unknown, result, role: None, gate_waited: false }
        };
        let mut fetch = Fetch {
            parts: wanted.into_iter().map(part).collect(),
            quota,
            max_bytes,
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
            gate_deadline_ms: context.arrived_ms + gate_ms,
            park_deadline_ms: context.arrived_ms + wait_ms,
            context,
        };
        fetch.find_known();
        fetch
    }

    /// Finds in the present image what has not been found yet.
    fn find_known(&mut self) {
        let broker = std::rc::Rc::clone(&self.context.broker);
        let image = broker.node.image();
        for part in self.parts.iter_mut().filter(|part| matches!(part.state, State::Unknown)) {
            if let Some(target) = find_partition(&image, &part.topic, part.spec.wanted.partition) {
                let settings = broker.topic_configs.get(&image, &target.topic, &broker.node.config);
                part.spec.key = target.key;
                part.spec.consistency = settings.read_consistency;
                part.state = State::Open(Role::Follower);
            }
        }
    }

    /// What a test wants refused is final before anybody is asked.
    fn refuse(&mut self, refused: &Refused) {
        for part in &mut self.parts {
            if refused.concerns_named(&self.context, &part.topic) {
                part.fail(refused.code);
            }
        }
    }

    /// "There is no such topic" is said after the metadata gate only. The others are at their own gates meanwhile, and
    /// wait for this one no longer than for any straggler.
    async fn look_up_unknown(&mut self) {
        let unknown: Vec<usize> = (0..self.parts.len())
            .filter(|index| self.parts.get(*index).is_some_and(|part| matches!(part.state, State::Unknown)))
            .collect();
        if unknown.is_empty() {
            return;
        }
        let alone = unknown.len() == self.parts.len();
        let straggler_ms = self.context.arrived_ms + limits::GATE_STRAGGLER_MS_MAX;
        let deadline_ms = if alone { self.gate_deadline_ms } else { self.gate_deadline_ms.min(straggler_ms) };
        let confirmed = self.broker().meta_barrier(deadline_ms).await.is_ok();
        self.find_known();
        for part in self.parts.iter_mut().filter(|part| matches!(part.state, State::Unknown)) {
            part.fail(if confirmed { part.topic.unknown() } else { ErrorCode::NOT_LEADER_OR_FOLLOWER });
        }
        self.admit(unknown).await;
    }

    fn broker(&self) -> &Broker {
        &self.context.broker
    }

    /// Steps 1 and 2 for those of the partitions at `indexes` that were found; the gates of all of them are entered
    /// before any is waited for.
    async fn admit(&mut self, indexes: Vec<usize>) {
        let deadline_ms = self.gate_deadline_ms;
        let hosts = self.broker().hosts.clone();
        let replies: Vec<_> = indexes
            .into_iter()
            .filter_map(|index| {
                let part = self.parts.get(index).filter(|part| matches!(part.state, State::Open(_)))?;
                let spec = part.spec.clone();
                Some((index, hosts.with(spec.key, move |host| admit(host, &spec, deadline_ms))))
            })
            .collect();
        let mut open = Vec::new();
        for (index, reply) in replies {
            let admission = reply.await;
            let Some(part) = self.parts.get_mut(index) else { continue };
            match admission {
                Ok(Admission::Answered(data)) => {
                    part.result = *data;
                    part.state = State::Final;
                }
                Ok(Admission::Open(role)) => {
                    part.state = State::Open(role);
                    open.push(index);
                }
                Ok(Admission::Gated(role, gate)) => part.state = State::Gated(role, gate),
                Err(_) => part.fail(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            }
        }
        self.serve(&open).await;
    }

    /// Waits at the gates and serves each partition as it gets through.
    async fn pass_gates(&mut self) {
        let mut limit_ms = self.gate_deadline_ms + GATE_GRACE_MS;
        while self.parts.iter().any(|part| matches!(part.state, State::Gated(..))) {
            if planted(Mutant::PendingGateAnswered) && self.holds_an_answer() {
                return self.serve_ungated().await;
            }
            if self.holds_an_answer() {
                limit_ms = limit_ms.min(self.broker().world.now_ms() + limits::GATE_STRAGGLER_MS_MAX);
            }
            let world = std::rc::Rc::clone(&self.context.broker.world);
            let settled = until(&*world, limit_ms, poll_fn(|task| poll_gates(&mut self.parts, task))).await;
            let Some(settled) = settled else {
                self.give_up_gates();
                return;
            };
            let mut open = Vec::new();
            for (index, outcome) in settled {
                match outcome {
                    Ok(pass) => {
                        if let Some(part) = self.parts.get_mut(index) {
                            part.gate_waited = pass.waited;
                            part.spec.passed = pass.index;
                        }
                        open.push(index);
                    }
                    Err(error) => self.gate_failed(index, error).await,
                }
            }
            self.serve(&open).await;
        }
    }

    /// A planted bug: what is still at its gate is answered as if it had passed.
    async fn serve_ungated(&mut self) {
        for part in &mut self.parts {
            if let State::Gated(role, _) = part.state {
                part.state = State::Open(role);
            }
        }
        self.serve(&(0..self.parts.len()).collect::<Vec<_>>()).await;
    }

    async fn gate_failed(&mut self, index: usize, error: GateError) {
        count(&self.broker().node.counters.fetches_refused_by_gate);
        let hosts = self.broker().hosts.clone();
        let Some(part) = self.parts.get(index) else { return };
        let role = part.role.unwrap_or(Role::Follower);
        let spec = part.spec.clone();
        let (max_bytes, at_least_one) = self.room(&spec, self.byte_count());
        let served =
            hosts.with(spec.key, move |host| gate_failed(host, &spec, &error, role, max_bytes, at_least_one));
        let served = served.await;
        let Some(part) = self.parts.get_mut(index) else { return };
        match served {
            Ok(served) => {
                part.result = served.data;
                part.state = State::Final;
                // Only what was decided by the deadline: a stopped or removed replica answers at once, with its error.
                if matches!(error.kind, GateErrorKind::Behind | GateErrorKind::NoLeader) {
                    part.turn_to_leader(&self.context.broker, role);
                }
            }
            Err(_) => part.fail(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        }
    }

    /// Gates that are still pending although the answer has to leave: an honest error, never an empty success.
    fn give_up_gates(&mut self) {
        let code = crate::errors::fetch_gate(GateErrorKind::Behind, self.context.version);
        for part in &mut self.parts {
            if matches!(part.state, State::Gated(..)) {
                count(&self.context.broker.node.counters.fetches_refused_by_gate);
                part.fail(code);
            }
        }
    }

    /// Steps 3 to 6 for the partitions at `indexes`, within what is left of the size limit.
    async fn serve(&mut self, indexes: &[usize]) {
        let hosts = self.broker().hosts.clone();
        let mut total = self.byte_count();
        for index in indexes {
            let Some(part) = self.parts.get(*index) else { continue };
            let State::Open(role) = part.state else { continue };
            let others = total - part.result.records.len();
            let (max_bytes, at_least_one) = self.room(&part.spec, others);
            let spec = part.spec.clone();
            let served =
                hosts.with(spec.key, move |host| serve(host, &spec, role, max_bytes, at_least_one)).await;
            let Some(part) = self.parts.get_mut(*index) else { continue };
            match served {
                Ok(Served { data, final_answer }) => {
                    part.result = data;
                    part.role = Some(role);
                    if final_answer {
                        part.state = State::Final;
                    }
                }
                Err(_) => part.fail(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            }
            total = others + part.result.records.len();
        }
    }

    /// Step 7: an ordinary long poll over every open partition.
    async fn park(&mut self) {
        let open: Vec<usize> = (0..self.parts.len())
            .filter(|index| self.parts.get(*index).is_some_and(|part| matches!(part.state, State::Open(_))))
            .collect();
        if open.is_empty() || self.broker().world.now_ms() >= self.park_deadline_ms {
            return;
        }
        count(&self.broker().node.counters.fetches_parked);
        let keys: Vec<PartitionKey> =
            open.iter().filter_map(|index| self.parts.get(*index)).map(|part| part.spec.key).collect();
        let parked = Parked::new(self.broker().hosts.clone(), keys).await;
        // Something may have been applied since the first look; from here on a change wakes the waiter.
        self.serve(&open).await;
        while !self.is_answer() {
            let world = std::rc::Rc::clone(&self.context.broker.world);
            let Some(changed) = until(&*world, self.park_deadline_ms, parked.waiter.wait()).await else {
                return;
            };
            let changed: HashSet<PartitionKey> = changed.into_iter().collect();
            let changed: Vec<usize> = open
                .iter()
                .copied()
                .filter(|index| self.parts.get(*index).is_some_and(|part| changed.contains(&part.spec.key)))
                .collect();
            self.serve(&changed).await;
        }
    }

    /// Whether nothing more is waited for: there is enough to leave with, or the client wants what there is.
    fn is_answer(&self) -> bool {
        self.holds_an_answer() || self.min_bytes == 0 || self.parts.is_empty()
    }

    /// Whether there is enough to leave with: bytes, an error, a hint, or a divergence.
    fn holds_an_answer(&self) -> bool {
        self.byte_count() >= self.min_bytes.max(1)
            || self.parts.iter().any(|part| matches!(part.state, State::Final))
    }

    /// How much one partition may add to `others` bytes, and whether a batch above that is still to be served.
    fn room(&self, spec: &FetchSpec, others: usize) -> (usize, bool) {
        let partition_max = usize::try_from(spec.wanted.partition_max_bytes).unwrap_or(0);
        (partition_max.min(self.max_bytes.saturating_sub(others)), others == 0)
    }

    fn byte_count(&self) -> usize {
        self.parts.iter().map(|part| part.result.records.len()).sum()
    }

    fn respond(mut self, session: PlanKind) -> FetchResponse {
        let broker = std::rc::Rc::clone(&self.context.broker);
        let mut sessions = broker.sessions.borrow_mut();
        let throttle_time_ms =
            self.quota.as_ref().map_or(0, |quota| self.context.charge(quota, self.byte_count()));
        let mut response = FetchResponse {
            throttle_time_ms,
            session_id: match session {
                PlanKind::Sessionless => 0,
                PlanKind::New(id) | PlanKind::Incremental(id) => id,
            },
            ..FetchResponse::default()
        };
        let mut served = HashSet::new();
        let mut hints = Vec::new();
        for mut part in std::mem::take(&mut self.parts) {
            part.count(&broker);
            part.trace(&self.context);
            if !part.result.records.is_empty() {
                served.insert((part.topic.clone(), part.spec.wanted.partition));
            }
            // Behind the pinned address this node is all that exists. Before the version that carries addresses, a client
            // may not know the leader that is named: kafka-python then throws at its user. The error makes it ask.
            if self.context.connection.pinned || self.context.version < ENDPOINTS_FROM {
                part.result.current_leader = LeaderIdAndEpoch::default();
            }
            if !sessions.tell(session, &part.topic, &part.result) {
                continue;
            }
            if part.result.current_leader.leader_id >= 0 {
                hints.push(part.result.current_leader.clone());
            }
            push(&mut response.responses, &part.topic, part.result);
        }
        sessions.rotate(session, &served);
        if !hints.is_empty() {
            response.node_endpoints = endpoints(&broker.node.image(), &hints);
        }
        response
    }
}

impl Part {
    /// A follower that could not prove the end, and a client that chose it by rack: instead of the error it is sent
    /// back to the leader. An error would keep some clients (kafka-python, kafkajs) here for as long as Metadata lists
    /// this node, which is minutes where only the link to the leader is cut. The answer claims nothing about the end
    /// and comes after the gate's deadline, so that two confused nodes cannot bounce a client at network speed.
    fn turn_to_leader(&mut self, broker: &Broker, role: Role) {
        let is_refused = self.result.error_code != ErrorCode::NONE;
        if !is_refused || role != Role::Follower || self.spec.racks.is_none() {
            return;
        }
        let known = broker.node.view(|view| view.leadership(self.spec.key).and_then(|known| known.leader));
        if let Some(leader) = known.filter(|leader| *leader != broker.node.config.node) {
            self.result = redirected(&self.spec, leader);
        }
    }

    fn fail(&mut self, code: ErrorCode) {
        self.result = refused(&self.spec, code, None);
        self.state = State::Final;
    }

    /// The line under which operators know this: who served, and whether the gate had to be waited for.
    fn trace(&self, context: &Context) {
        tracing::debug!(
            target: "chronik_server::fetch_handler",
            node = context.broker.node.config.node.0,
            client = context.client_id.as_deref().unwrap_or_default(),
            partition = ?self.spec.key,
            offset = self.spec.wanted.fetch_offset,
            role = ?self.role,
            gate_waited = self.gate_waited,
            error = self.result.error_code.0,
            bytes = self.result.records.len(),
            "fetch"
        );
    }

    /// Who served it, and what was only a hint.
    fn count(&self, broker: &Broker) {
        let counters = &broker.node.counters;
        counters.count_code(self.result.error_code);
        if self.result.diverging_epoch.end_offset >= 0 {
            count(&counters.epochs_diverging);
        }
        if self.result.preferred_read_replica >= 0 {
            count(&counters.preferred_replica_hints);
        } else if self.result.error_code == ErrorCode::NONE {
            let leader = self.role == Some(Role::Leader);
            count(if leader {
                &counters.fetches_served_as_leader
            } else {
                &counters.fetches_served_as_follower
            });
        }
    }
}

type Settled = Vec<(usize, Result<GatePass, GateError>)>;

/// Ready as soon as one gate has answered, with all that have.
fn poll_gates(parts: &mut [Part], task: &mut TaskContext<'_>) -> Poll<Settled> {
    let mut settled = Vec::new();
    for (index, part) in parts.iter_mut().enumerate() {
        let State::Gated(role, gate) = &mut part.state else { continue };
        if let Poll::Ready(outcome) = Pin::new(gate).poll(task) {
            let gone = GateError { kind: GateErrorKind::Removed, leader: None };
            part.role = Some(*role);
            part.state = State::Open(*role);
            settled.push((index, outcome.unwrap_or(Err(gone))));
        }
    }
    if settled.is_empty() { Poll::Pending } else { Poll::Ready(settled) }
}

/// The racks to choose a better replica by: only for a client that names its own, and never on the pinned address.
fn racks(context: &Context, client: &str) -> Option<Arc<Racks>> {
    let config = &context.broker.node.config;
    if client.is_empty()
        || context.version < RACK_FROM
        || context.connection.pinned
        || !config.fetch_from_followers
    {
        return None;
    }
    let image = context.broker.node.image();
    let live = context.broker.node.view(|view| view.live());
    let live =
        live.into_iter().filter_map(|node| Some((node, image.brokers.get(&node)?.rack.clone()?))).collect();
    Some(Arc::new(Racks { client: client.to_owned(), own: config.rack.clone(), live }))
}

fn push(responses: &mut Vec<FetchableTopicResponse>, topic: &TopicName, data: PartitionData) {
    let same = responses.last().is_some_and(|last| last.topic == topic.name() && last.topic_id == topic.id());
    if !same {
        responses.push(FetchableTopicResponse {
            topic: topic.name(),
            topic_id: topic.id(),
            partitions: Vec::new(),
        });
    }
    if let Some(last) = responses.last_mut() {
        last.partitions.push(data);
    }
}

impl Broker {
    fn begin_session(
        &self,
        request: &FetchRequest,
        version: i16,
    ) -> Result<crate::fetch_session::Plan, ErrorCode> {
        let mut sessions = self.sessions.borrow_mut();
        let evicted = sessions.evicted;
        let plan = sessions.begin(request, version, version >= BY_ID_FROM)?;
        let counters = &self.node.counters;
        if matches!(plan.session, PlanKind::New(id) if id != 0) {
            count(&counters.fetch_sessions_created);
        }
        if sessions.evicted > evicted {
            count(&counters.fetch_sessions_evicted);
        }
        Ok(plan)
    }
}
