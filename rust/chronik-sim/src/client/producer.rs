//! Producers: one that gives up a batch it has no word about, and an idempotent one that repeats it until it has.

use std::collections::VecDeque;
use std::rc::Rc;

use chronik_history::{Operation, Producer, SendArgs, SendResult, Status, Text};
use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::init_producer_id::InitProducerIdRequest;
use chronik_wire::messages::produce::PartitionProduceResponse;
use chronik_wire::types::NodeId;

use super::requests::{METADATA_VERSION, PRODUCE_VERSION, PRODUCE_VERSION_BEFORE_IDS, metadata_of, produce};
use super::{Client, PATIENCE_US, Place};
use crate::switchboard::CallError;

/// Longest time the broker has for a batch, in milliseconds.
const TIMEOUT_MS: u64 = 2_000;
const TIMESTAMP_MS: i64 = 1_700_000_000_000;
const INIT_VERSION: i16 = 4;

/// A batch of records on its way.
pub(super) struct Batch {
    pub(super) values: Vec<Text>,
    pub(super) producer: Option<Producer>,
    pub(super) membership: Option<Membership>,
    /// Each record is its own key.
    pub(super) keyed: bool,
}

/// That a batch is part of a transaction.
pub(super) struct Membership {
    /// The transaction's name in the history.
    pub(super) transaction: Text,
    pub(super) transactional_id: Rc<str>,
    /// The producer is of the kind that leaves it to the broker to add partitions (KIP-890).
    pub(super) raising: bool,
}

impl Batch {
    fn builder(&self) -> BatchBuilder {
        let mut builder = BatchBuilder::new();
        if let Some(Producer { id, epoch, sequence }) = self.producer {
            builder = builder.producer(id, epoch, sequence.unwrap_or_default());
        }
        if self.membership.is_some() {
            builder = builder.transactional();
        }
        self.values.iter().map(|value| value.as_bytes()).fold(builder, |builder, value| {
            builder.record(TIMESTAMP_MS, self.keyed.then_some(value), Some(value))
        })
    }
}

/// Writes to all places, a batch at a time, each batch once.
pub(super) async fn write(client: Client, places: Rc<[Place]>) {
    let mut number = 0;
    let mut leader = None;
    while !client.is_closing() {
        let Some(place) = client.pick(&places) else { return };
        let values = client.new_values(&mut number);
        let pinned = client.crowd.plan.pinned_writes && client.chance(300);
        let node = if pinned { client.some_node() } else { client.leader_of(place, &mut leader).await };
        let batch = Batch { values, producer: None, membership: None, keyed: client.crowd.plan.keyed };
        if client.send(place, node, pinned, &batch).await.is_err() {
            leader = None;
            client.back_off().await;
        }
        client.pause().await;
    }
}

/// Writes one batch to a place, wherever its leader is.
pub(super) async fn write_one(client: &Client, place: &Place, number: &mut u64) {
    let node = client.leader_of(place, &mut None).await;
    let keyed = client.crowd.plan.keyed;
    let batch = Batch { values: client.new_values(number), producer: None, membership: None, keyed };
    // What became of it is written down.
    let _ = client.send(place, node, false, &batch).await;
}

/// Writes to one place with several batches under way, each repeated until it is acknowledged.
pub(super) async fn write_exactly_once(client: Client, place: Place) {
    let mut number = 0;
    let mut leader = None;
    'identity: while !client.is_closing() {
        let Some((id, epoch)) = client.init_producer().await else { continue };
        let mut sequence = 0;
        while !client.is_closing() {
            let mut batches: VecDeque<Batch> = VecDeque::new();
            for _ in 0..client.crowd.plan.pipeline {
                let values = client.new_values(&mut number);
                let count = values.len() as i32;
                batches.push_back(Batch {
                    values,
                    producer: Some(Producer { id, epoch, sequence: Some(sequence) }),
                    membership: None,
                    keyed: client.crowd.plan.keyed,
                });
                sequence += count;
            }
            if !client.deliver(&place, batches, &mut leader).await {
                continue 'identity;
            }
            client.pause().await;
        }
    }
}

impl Client {
    pub(super) fn new_values(&self, number: &mut u64) -> Vec<Text> {
        let count = 1 + self.below(self.crowd.plan.batch_records);
        (0..count)
            .map(|_| {
                *number += 1;
                Text::from(format!("{}:{number}", self.name))
            })
            .collect()
    }

    /// The leader as this client knows it, or as a node says.
    pub(super) async fn leader_of(&self, place: &Place, known: &mut Option<(Place, NodeId)>) -> NodeId {
        if let Some((of, leader)) = known
            && of == place
        {
            return *leader;
        }
        let asked = self.some_node();
        let answer = self.ask(asked, false, METADATA_VERSION, &metadata_of(place)).await;
        let leader = answer.ok().flatten().and_then(|answer| {
            self.meet(answer.brokers.iter().map(|broker| NodeId(broker.node_id)));
            let partitions = answer.topics.into_iter().next()?.partitions;
            partitions.into_iter().find(|partition| partition.partition_index == place.partition)
        });
        match leader.map(|partition| NodeId(partition.leader_id)).filter(|leader| leader.0 > 0) {
            Some(leader) => {
                *known = Some((place.clone(), leader));
                leader
            }
            None => asked,
        }
    }

    async fn init_producer(&self) -> Option<(i64, i16)> {
        let request =
            InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() };
        let answer = self.ask(self.some_node(), false, INIT_VERSION, &request).await.ok().flatten();
        match answer {
            Some(answer) if answer.error_code == ErrorCode::NONE => {
                Some((answer.producer_id, answer.producer_epoch))
            }
            _ => {
                self.back_off().await;
                None
            }
        }
    }

    /// Sends batches of one producer id, several under way, until each is acknowledged. False if the producer needs a
    /// new id: then what became of some batches stays open.
    async fn deliver(
        &self,
        place: &Place,
        mut batches: VecDeque<Batch>,
        leader: &mut Option<(Place, NodeId)>,
    ) -> bool {
        while !batches.is_empty() {
            let node = self.leader_of(place, leader).await;
            // All leave before the first answer is waited for.
            let mut under_way: Vec<_> =
                batches.iter().map(|batch| Box::pin(self.send(place, node, false, batch))).collect();
            let results = join_all(&mut under_way).await;
            drop(under_way);
            let mut kept = VecDeque::new();
            for (batch, result) in batches.into_iter().zip(results) {
                match result {
                    Ok(()) => {}
                    // What follows a batch that failed is out of order, which the retry mends.
                    Err(code) if code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER && !kept.is_empty() => {
                        kept.push_back(batch);
                    }
                    Err(code)
                        if code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
                            || code == ErrorCode::UNKNOWN_PRODUCER_ID
                            || code == ErrorCode::INVALID_PRODUCER_EPOCH =>
                    {
                        self.complain(format!(
                            "a batch in order was refused with error {} on {}",
                            code.0, place.key
                        ));
                        return false;
                    }
                    // The broker's wall clock is an hour off: no repetition helps.
                    Err(ErrorCode::INVALID_TIMESTAMP) => return false,
                    Err(_) => kept.push_back(batch),
                }
            }
            batches = kept;
            if !batches.is_empty() && self.chance(500) {
                // In haste, and to the same node: the first attempt may still be under way there.
                self.crowd.board.sleep(1 + self.below(20_000)).await;
            } else if !batches.is_empty() {
                *leader = None;
                self.back_off().await;
            }
        }
        true
    }

    /// Sends one batch once and writes down what became of it.
    pub(super) async fn send(
        &self,
        place: &Place,
        node: NodeId,
        pinned: bool,
        batch: &Batch,
    ) -> Result<(), ErrorCode> {
        let membership = batch.membership.as_ref();
        let args = SendArgs {
            values: batch.values.clone(),
            producer: batch.producer,
            transaction: membership.map(|membership| membership.transaction.clone()),
            ..SendArgs::default()
        };
        let pending = self.invoked(node, &place.key, Operation::Send(chronik_history::Call::new(args)));
        let timeout_ms = if self.chance(200) { 30 + self.below(500) } else { TIMEOUT_MS };
        let mut request = produce(place, batch.builder(), timeout_ms as i32);
        request.transactional_id = membership.map(|membership| membership.transactional_id.to_string());
        let keeps_epoch = membership.is_some_and(|membership| !membership.raising);
        let version = if keeps_epoch { PRODUCE_VERSION_BEFORE_IDS } else { PRODUCE_VERSION };
        // Some give up before the broker does, and come again while their batch is still under way.
        let patience_us = if self.chance(200) { 1_000 + self.below(200_000) } else { PATIENCE_US };
        let answer = self.ask_for(patience_us, node, pinned, version, &request).await;
        let bound_ms = self.bound_ms(&pending, timeout_ms + 1_500);
        let result = match answer {
            Ok(answer) => answer.and_then(|answer| {
                answer.responses.into_iter().next()?.partition_responses.into_iter().next()
            }),
            Err(error) => {
                let status = if error == CallError::Refused { Status::Fail } else { Status::Info };
                self.returned(&pending, 0, status, |_| ());
                return Err(ErrorCode::NETWORK_EXCEPTION);
            }
        };
        let Some(PartitionProduceResponse { error_code, base_offset, .. }) = result else {
            self.returned(&pending, 0, Status::Info, |_| ());
            return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
        };
        self.returned(&pending, error_code.0, fate(error_code), |operation| {
            if let Operation::Send(call) = operation {
                call.args.bound_ms = bound_ms;
                call.result = error_code.is_none().then_some(SendResult { offset: Some(base_offset) });
            }
        });
        if error_code.is_error() {
            return Err(error_code);
        }
        self.crowd.acknowledged.set(self.crowd.acknowledged.get() + 1);
        self.crowd.prove_end(place, base_offset + batch.values.len() as i64);
        Ok(())
    }
}

/// What an error code says about a batch: 7 and 20 leave it open, 46 is an old acquaintance, the others refuse it.
fn fate(code: ErrorCode) -> Status {
    match code {
        ErrorCode::NONE => Status::Ok,
        ErrorCode::REQUEST_TIMED_OUT
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::DUPLICATE_SEQUENCE_NUMBER
        | ErrorCode::UNKNOWN_SERVER_ERROR => Status::Info,
        _ => Status::Fail,
    }
}

/// Waits for all futures; they are polled in order, so what they send leaves in order.
async fn join_all<T>(futures: &mut [std::pin::Pin<Box<impl Future<Output = T>>>]) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
            }
        }
        if results.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
