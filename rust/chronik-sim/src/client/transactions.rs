//! Transactional producers: some of the old kind, which keep their epoch, and some whose every end raises it (KIP-890).
//! Some have a rival that uses the same transactional id, and some leave a transaction open, as if they had died.

use std::collections::BTreeMap;
use std::rc::Rc;

use chronik_history::{BeginArgs, Call, EndArgs, InitArgs, InitResult, Operation, Producer, Status, Text};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use chronik_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use chronik_wire::messages::find_coordinator::{FindCoordinatorRequest, TRANSACTION};
use chronik_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use chronik_wire::types::NodeId;

use super::producer::{Batch, Membership};
use super::{Client, Place};

const FIND_VERSION: i16 = 4;
const INIT_VERSION: i16 = 4;
const ADD_VERSION: i16 = 3;
/// The last version of EndTxn that keeps the epoch, and the first that raises it.
const END_VERSIONS: (i16, i16) = (3, 5);
/// Time after which the coordinator aborts, in milliseconds: short, so that what the dead leave open is soon decided.
const TIMEOUT_MS: i32 = 4_000;
/// Attempts of one request before a producer gives its transaction up.
pub(super) const ATTEMPTS: u64 = 8;
/// Longest pause of a producer that was replaced before it comes again, in microseconds.
const SULK_US: u64 = 4_000_000;

/// A producer id, its epoch, and the sequences of its next batches.
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
    sequences: BTreeMap<Text, i32>,
}

/// How a step of a transaction came out.
pub(super) enum Step {
    Done,
    /// The transaction cannot go on.
    Failed,
}

/// A producer that works in transactions until the run closes.
pub(super) struct Worker {
    pub(super) client: Client,
    pub(super) transactional_id: Rc<str>,
    /// Its ends raise its epoch, and the broker adds what it writes to its transactions (KIP-890).
    pub(super) raising: bool,
    places: Rc<[Place]>,
    coordinator: Option<NodeId>,
    transactions: u64,
    values: u64,
}

/// Works in transactions under one transactional id.
pub(super) async fn transact(client: Client, transactional_id: Rc<str>, places: Rc<[Place]>) {
    let mut worker = Worker::new(client, transactional_id, places);
    while !worker.client.is_closing() {
        let Some(mut identity) = worker.init().await else {
            worker.client.back_off().await;
            continue;
        };
        while !worker.client.is_closing() && worker.one_transaction(&mut identity).await {
            worker.client.pause().await;
        }
        if !worker.client.is_closing() {
            let for_us = worker.client.below(SULK_US);
            worker.client.crowd.board.sleep(for_us).await;
        }
    }
}

impl Worker {
    pub(super) fn new(client: Client, transactional_id: Rc<str>, places: Rc<[Place]>) -> Worker {
        let raising = client.chance(500);
        Worker { client, transactional_id, raising, places, coordinator: None, transactions: 0, values: 0 }
    }

    /// The coordinator as this client knows it, or as a node says.
    pub(super) async fn coordinator(&mut self) -> NodeId {
        if let Some(node) = self.coordinator {
            return node;
        }
        let request = FindCoordinatorRequest {
            key_type: TRANSACTION,
            coordinator_keys: vec![self.transactional_id.to_string()],
            ..FindCoordinatorRequest::default()
        };
        let asked = self.client.some_node();
        let answer = self.client.ask(asked, false, FIND_VERSION, &request).await.ok().flatten();
        let found = answer
            .and_then(|answer| answer.coordinators.into_iter().next())
            .filter(|found| found.error_code.is_none());
        self.coordinator = found.map(|found| NodeId(found.node_id));
        self.coordinator.unwrap_or(asked)
    }

    /// Looks for the coordinator again if this answer is a reason to.
    pub(super) fn heed(&mut self, code: ErrorCode) {
        if matches!(
            code,
            ErrorCode::NETWORK_EXCEPTION
                | ErrorCode::NOT_COORDINATOR
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        ) {
            self.coordinator = None;
        }
    }

    /// Begins as a new producer; one attempt.
    pub(super) async fn init(&mut self) -> Option<Identity> {
        let node = self.coordinator().await;
        let request = InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.to_string()),
            transaction_timeout_ms: TIMEOUT_MS,
            ..InitProducerIdRequest::default()
        };
        let args =
            InitArgs { transactional_id: Some(Text::from(&*self.transactional_id)), ..InitArgs::default() };
        let pending = self.client.invoked(node, &Text::default(), Operation::Init(Call::new(args)));
        let answer = self.client.ask(node, false, INIT_VERSION, &request).await.ok().flatten();
        let Some(InitProducerIdResponse { error_code, producer_id, producer_epoch, .. }) = answer else {
            self.client.returned(&pending, 0, Status::Info, |_| ());
            self.heed(ErrorCode::NETWORK_EXCEPTION);
            return None;
        };
        let status = if error_code.is_none() { Status::Ok } else { Status::Fail };
        self.client.returned(&pending, error_code.0, status, |operation| {
            if let (Operation::Init(call), Status::Ok) = (operation, status) {
                call.result = Some(InitResult { id: producer_id, epoch: producer_epoch });
            }
        });
        self.heed(error_code);
        let identity = Identity { id: producer_id, epoch: producer_epoch, sequences: BTreeMap::new() };
        error_code.is_none().then_some(identity)
    }

    /// A transaction begins, under a name for the history.
    pub(super) fn begin(&mut self) -> Text {
        self.transactions += 1;
        let name = Text::from(format!("{}/{}", self.client.name, self.transactions));
        let transactional_id = Text::from(&*self.transactional_id);
        let args = BeginArgs { transaction: name.clone(), transactional_id };
        let pending = self.client.invoked(NodeId(0), &Text::default(), Operation::Begin(Call::new(args)));
        self.client.returned(&pending, 0, Status::Ok, |_| ());
        name
    }

    /// One transaction from its beginning to its end. False if the producer must begin anew.
    async fn one_transaction(&mut self, identity: &mut Identity) -> bool {
        let name = self.begin();
        let mut whole = true;
        let mut added = Vec::new();
        for _ in 0..1 + self.client.below(4) {
            let Some(place) = self.client.pick(&self.places).cloned() else { return false };
            if let Step::Failed = self.write(identity, &name, &place, &mut added).await {
                whole = false;
                break;
            }
        }
        if !self.client.is_closing() && self.client.chance(80) {
            return false;
        }
        let commit = whole && self.client.chance(700);
        self.end(identity, &name, commit).await && whole
    }

    async fn write(
        &mut self,
        identity: &mut Identity,
        name: &Text,
        place: &Place,
        added: &mut Vec<Text>,
    ) -> Step {
        let values = self.client.new_values(&mut self.values);
        self.write_values(identity, name, place, values, added).await
    }

    /// Writes one batch, after telling the coordinator where to unless the broker does that itself.
    pub(super) async fn write_values(
        &mut self,
        identity: &mut Identity,
        name: &Text,
        place: &Place,
        values: Vec<Text>,
        added: &mut Vec<Text>,
    ) -> Step {
        if !self.raising && !added.contains(&place.key) {
            if let Step::Failed = self.add(identity, place).await {
                return Step::Failed;
            }
            added.push(place.key.clone());
        }
        let sequence = identity.sequences.entry(place.key.clone()).or_default();
        let producer = Producer { id: identity.id, epoch: identity.epoch, sequence: Some(*sequence) };
        let membership = Membership {
            transaction: name.clone(),
            transactional_id: Rc::clone(&self.transactional_id),
            raising: self.raising,
        };
        let count = values.len() as i32;
        let batch = Batch { values, producer: Some(producer), membership: Some(membership), keyed: false };
        let mut leader = None;
        for _ in 0..ATTEMPTS {
            let node = self.client.leader_of(place, &mut leader).await;
            match self.client.send(place, node, false, &batch).await {
                Ok(()) => {
                    *sequence += count;
                    return Step::Done;
                }
                Err(
                    ErrorCode::INVALID_PRODUCER_EPOCH
                    | ErrorCode::PRODUCER_FENCED
                    | ErrorCode::INVALID_TXN_STATE
                    | ErrorCode::INVALID_PRODUCER_ID_MAPPING
                    | ErrorCode::TRANSACTION_ABORTABLE
                    | ErrorCode::INVALID_TIMESTAMP,
                ) => return Step::Failed,
                Err(_) => {
                    leader = None;
                    self.client.back_off().await;
                }
            }
        }
        Step::Failed
    }

    async fn add(&mut self, identity: &Identity, place: &Place) -> Step {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.to_string(),
            v3_and_below_producer_id: identity.id,
            v3_and_below_producer_epoch: identity.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: place.topic.to_string(),
                partitions: vec![place.partition],
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        for _ in 0..ATTEMPTS {
            let node = self.coordinator().await;
            let answer = self.client.ask(node, false, ADD_VERSION, &request).await.ok().flatten();
            let result = answer
                .and_then(|answer| answer.results_by_topic_v3_and_below.into_iter().next())
                .and_then(|topic| topic.results_by_partition.into_iter().next());
            let code = result.map_or(ErrorCode::NETWORK_EXCEPTION, |result| result.partition_error_code);
            if code.is_none() {
                return Step::Done;
            }
            if is_final(code) {
                return Step::Failed;
            }
            self.heed(code);
            self.client.back_off().await;
        }
        Step::Failed
    }

    /// Ends a transaction, and repeats that until there is an answer that says how it came out. False if there is none
    /// that lets the producer go on.
    pub(super) async fn end(&mut self, identity: &mut Identity, name: &Text, commit: bool) -> bool {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.to_string(),
            producer_id: identity.id,
            producer_epoch: identity.epoch,
            committed: commit,
        };
        let version = if self.raising { END_VERSIONS.1 } else { END_VERSIONS.0 };
        for _ in 0..ATTEMPTS {
            let node = self.coordinator().await;
            let args = EndArgs { transaction: name.clone(), commit, bound_ms: None };
            let pending = self.client.invoked(node, &Text::default(), Operation::End(Call::new(args)));
            let answer = self.client.ask(node, false, version, &request).await.ok().flatten();
            let Some(EndTxnResponse { error_code, producer_id, producer_epoch, .. }) = answer else {
                self.client.returned(&pending, 0, Status::Info, |_| ());
                self.heed(ErrorCode::NETWORK_EXCEPTION);
                self.client.back_off().await;
                continue;
            };
            self.client.returned(&pending, error_code.0, outcome(error_code), |_| ());
            if error_code.is_none() {
                if self.raising {
                    *identity =
                        Identity { id: producer_id, epoch: producer_epoch, sequences: BTreeMap::new() };
                }
                return true;
            }
            if is_final(error_code) {
                // Another producer came, or the coordinator aborted what took too long.
                self.client.crowd.saw("ends_fenced");
                return false;
            }
            self.heed(error_code);
            self.client.back_off().await;
        }
        false
    }
}

/// What an error code says about the end of a transaction. A coordinator that loses its office while the markers are under
/// way says so, and its successor carries the decision out.
fn outcome(code: ErrorCode) -> Status {
    match code {
        ErrorCode::NONE => Status::Ok,
        code if is_final(code) => Status::Fail,
        _ => Status::Info,
    }
}

/// Whether asking again cannot help.
pub(super) fn is_final(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::INVALID_PRODUCER_EPOCH
            | ErrorCode::PRODUCER_FENCED
            | ErrorCode::INVALID_TXN_STATE
            | ErrorCode::INVALID_PRODUCER_ID_MAPPING
            | ErrorCode::TRANSACTION_ABORTABLE
    )
}
