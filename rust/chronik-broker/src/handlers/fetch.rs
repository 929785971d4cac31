//! Fetch (key 1), versions 4-18.
//!
//! Behaviour: any replica serves; passes the read gate; answers each partition from one snapshot; an error answer
//! carries no watermarks; parks until `min_bytes` or the deadline, woken by apply; several partitions fail one by one,
//! and one whose gate is still pending holds back the others' records for 250 ms at most. At a leader, a consumer that
//! names its rack is told of a follower there (KIP-392), except on the pinned address.
//! Versions: 7 sessions (KIP-227) · 9 leader epoch · 11 rack (KIP-392) · 12 divergence, leader hint · 13 topic ids ·
//! 16 leader endpoints.
//! Not done: 15 replica state (replication between brokers does not use Fetch).
//! Tests: fetch tests of this crate, tests/test_follower_reads.py.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use chronik_coord::MetaImage;
use chronik_replica::{GateError, GateErrorKind, GatePass, Role, Waiter};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use chronik_wire::types::PartitionKey;
use tokio::sync::oneshot;

use super::{Answer, Context};
use crate::broker::Broker;
use crate::connection::CloseReason;
use crate::counters::count;
use crate::fetch_session::{PlanKind, Wanted};
use crate::hosts::Hosts;
use crate::leader_hint::endpoints;
use crate::limits;
use crate::partition_fetch::{Admission, FetchSpec, Racks, Served, admit, gate_failed, refused, serve};
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
    max_bytes: usize,
    min_bytes: usize,
    gate_deadline_ms: u64,
    park_deadline_ms: u64,
}

pub(crate) async fn handle(context: Context, request: FetchRequest) -> Answer<FetchResponse> {
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
    let mut fetch = Fetch::new(context, &request, plan.wanted).await;
    fetch.admit().await;
    fetch.pass_gates().await;
    if !fetch.is_answer() {
        fetch.park().await;
    }
    Ok(Some(fetch.respond(plan.session)))
}

impl Fetch {
    async fn new(context: Context, request: &FetchRequest, wanted: Vec<Wanted>) -> Fetch {
        let config = &context.broker.node.config;
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0).min(limits::FETCH_WAIT_MS_MAX);
        let gate_ms = wait_ms.max(limits::GATE_WAIT_MS_MIN).min(config.gate_cap_ms);
        let gate_deadline_ms = context.arrived_ms + gate_ms;
        let park_deadline_ms = context.arrived_ms + wait_ms;
        let missing = |image: &MetaImage| {
            wanted.iter().any(|(topic, part)| find_partition(image, topic, part.partition).is_none())
        };
        let image = context.broker.image_with(gate_deadline_ms, missing).await;
        let racks = racks(&context, &request.rack_id);
        let committed_only = request.isolation_level == READ_COMMITTED;
        let parts = wanted
            .into_iter()
            .map(|(topic, wanted)| {
                let target =
                    image.as_ref().ok().and_then(|image| find_partition(image, &topic, wanted.partition));
                let mut spec = FetchSpec {
                    key: PartitionKey::META,
                    wanted,
                    version: context.version,
                    committed_only,
                    consistency: chronik_coord::ReadConsistency::Linearizable,
                    followers_serve: config.fetch_from_followers,
                    racks: racks.clone(),
                };
                let (state, result) = match (&image, target) {
                    (Ok(image), Some(target)) => {
                        let settings = context.broker.topic_configs.get(image, &target.topic, config);
                        spec.key = target.key;
                        spec.consistency = settings.read_consistency;
                        (State::Open(Role::Follower), PartitionData::default())
                    }
                    (Ok(_), None) => (State::Final, refused(&spec, topic.unknown(), None)),
                    (Err(_), _) => (State::Final, refused(&spec, ErrorCode::NOT_LEADER_OR_FOLLOWER, None)),
                };
                Part { topic, spec, state, result, role: None, gate_waited: false }
            })
            .collect();
        let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(limits::FETCH_RESPONSE_BYTES_MAX);
        let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
        Fetch { context, parts, max_bytes, min_bytes, gate_deadline_ms, park_deadline_ms }
    }

    fn broker(&self) -> &Broker {
        &self.context.broker
    }

    /// Steps 1 and 2 for every partition; the gates of all of them are entered before any is waited for.
    async fn admit(&mut self) {
        let deadline_ms = self.gate_deadline_ms;
        let hosts = self.broker().hosts.clone();
        let replies: Vec<_> = self
            .parts
            .iter()
            .map(|part| {
                let spec = part.spec.clone();
                let open = !matches!(part.state, State::Final);
                open.then(|| hosts.with(spec.key, move |host| admit(host, &spec, deadline_ms)))
            })
            .collect();
        let mut open = Vec::new();
        for (index, reply) in replies.into_iter().enumerate() {
            let Some(reply) = reply else { continue };
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
                        }
                        open.push(index);
                    }
                    Err(error) => self.gate_failed(index, error).await,
                }
            }
            self.serve(&open).await;
            if self.byte_count() >= self.min_bytes.max(1) {
                limit_ms = limit_ms.min(self.broker().world.now_ms() + limits::GATE_STRAGGLER_MS_MAX);
            }
        }
    }

    async fn gate_failed(&mut self, index: usize, error: GateError) {
        count(&self.broker().node.counters.fetches_refused_by_gate);
        let hosts = self.broker().hosts.clone();
        let Some(part) = self.parts.get_mut(index) else { return };
        let role = part.role.unwrap_or(Role::Follower);
        let spec = part.spec.clone();
        let served = hosts.with(spec.key, move |host| gate_failed(host, &spec, &error, role)).await;
        match served {
            Ok(served) => {
                part.result = served.data;
                part.state = State::Final;
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
            let Some(part) = self.parts.get_mut(*index) else { continue };
            let State::Open(role) = part.state else { continue };
            let others = total - part.result.records.len();
            let partition_max = usize::try_from(part.spec.wanted.partition_max_bytes).unwrap_or(0);
            let max_bytes = partition_max.min(self.max_bytes.saturating_sub(others));
            let at_least_one = others == 0;
            let spec = part.spec.clone();
            let served =
                hosts.with(spec.key, move |host| serve(host, &spec, role, max_bytes, at_least_one)).await;
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

    /// Whether there is enough to leave with: bytes, an error, a hint, a divergence, or nothing to wait for.
    fn is_answer(&self) -> bool {
        self.byte_count() >= self.min_bytes.max(1)
            || self.min_bytes == 0
            || self.parts.is_empty()
            || self.parts.iter().any(|part| matches!(part.state, State::Final))
    }

    fn byte_count(&self) -> usize {
        self.parts.iter().map(|part| part.result.records.len()).sum()
    }

    fn respond(mut self, session: PlanKind) -> FetchResponse {
        let cut_short = self.byte_count() >= self.max_bytes;
        let broker = std::rc::Rc::clone(&self.context.broker);
        let mut sessions = broker.sessions.borrow_mut();
        let mut response = FetchResponse {
            session_id: match session {
                PlanKind::Sessionless => 0,
                PlanKind::New(id) | PlanKind::Incremental(id) => id,
            },
            ..FetchResponse::default()
        };
        let mut served = Vec::new();
        let mut hints = Vec::new();
        for part in std::mem::take(&mut self.parts) {
            part.count(&broker);
            part.trace(&self.context);
            if !part.result.records.is_empty() {
                served.push((part.topic.clone(), part.spec.wanted.partition));
            }
            if !sessions.tell(session, &part.topic, &part.result) {
                continue;
            }
            if part.result.current_leader.leader_id >= 0 {
                hints.push(part.result.current_leader.clone());
            }
            push(&mut response.responses, &part.topic, part.result);
        }
        if cut_short {
            sessions.rotate(session, &served);
        }
        if self.context.version >= ENDPOINTS_FROM && !hints.is_empty() {
            response.node_endpoints = endpoints(&broker.node.image(), &hints);
        }
        response
    }
}

impl Part {
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

/// Keeps a waiter parked at partitions, also when the client goes away in the middle.
struct Parked {
    hosts: Hosts,
    keys: Vec<PartitionKey>,
    waiter: Arc<Waiter>,
}

impl Parked {
    async fn new(hosts: Hosts, keys: Vec<PartitionKey>) -> Parked {
        let parked = Parked { hosts, keys, waiter: Waiter::new() };
        for key in &parked.keys {
            let (key, waiter) = (*key, Arc::clone(&parked.waiter));
            // A replica that is gone by now shows at the next look.
            let _ = parked.hosts.with(key, move |host| host.park(key, &waiter)).await;
        }
        parked
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        for key in &self.keys {
            let (key, waiter) = (*key, Arc::clone(&self.waiter));
            drop(self.hosts.with(key, move |host| host.unpark(key, &waiter)));
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
