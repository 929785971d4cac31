//! Transactions of one record each, one after the other, by one producer: as producers have always run them, and as they
//! do since the broker adds partitions by itself and every transaction has an epoch of its own (KIP-890).

use std::time::{Duration, Instant};

use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_partitions_to_txn::AddPartitionsToTxnTopic;
use chronik_wire::messages::produce::{PartitionProduceData, TopicProduceData};
use chronik_wire::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProduceRequest,
};

use super::{Settings, median};
use crate::child::Server;
use crate::client::Client;
use crate::coordinators::{self, TRANSACTION, refused};
use crate::error::BenchError;
use crate::latencies::{Latencies, Spread};
use crate::machine::CpuClock;
use crate::report::{Row, Verdict};
use crate::topics;

const TRANSACTIONS_PER_ROUND: u64 = 1_000;
const WARM_UP: u64 = 200;
const PER_SECOND_MIN: f64 = 1_000.0;
const VALUE_BYTES: usize = 100;
const TRANSACTION_TIMEOUT_MS: i32 = 60_000;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;
/// Longest wait for a coordinator to take office.
const OFFICE_TIMEOUT: Duration = Duration::from_secs(10);

/// The way of a transaction: versions of its requests, and whether the producer names its partitions first.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    names_partitions: bool,
    produce: i16,
    end: i16,
}

const CLASSIC: Way =
    Way { name: "AddPartitions, Produce, EndTxn", names_partitions: true, produce: 8, end: 2 };
const IMPLICIT: Way = Way { name: "Produce, EndTxn (KIP-890)", names_partitions: false, produce: 12, end: 5 };
const ADD_VERSION: i16 = 2;
const INIT_VERSION: i16 = 1;

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let server = settings.serve(&["cluster"])?;
    [CLASSIC, IMPLICIT].into_iter().map(|way| row(settings, &server, way)).collect()
}

fn row(settings: &Settings, server: &Server, way: Way) -> Result<Row, BenchError> {
    let mut producer = Producer::new(server, way)?;
    producer.round(WARM_UP)?;
    let clock = CpuClock::read(Some(server.pid()));
    let mut rounds = Vec::new();
    let mut latencies = Latencies::new();
    for _ in 0..settings.rounds {
        let begin = Instant::now();
        latencies.add(&producer.round(TRANSACTIONS_PER_ROUND)?);
        rounds.push(TRANSACTIONS_PER_ROUND as f64 / begin.elapsed().as_secs_f64());
    }
    let cpu = clock.used();
    let spread = Spread::of(rounds.iter().copied());
    let spread = spread.ok_or_else(|| BenchError::Unexpected("no round was measured".into()))?;
    Ok(Row {
        limit: format!("p50 {:.0} p99 {:.0} µs", latencies.p50_us(), latencies.p99_us()),
        target: format!("≥ {PER_SECOND_MIN}/s"),
        verdict: Verdict::of(spread.median >= PER_SECOND_MIN),
        cpu: cpu.shares(),
        marks: cpu.marks(),
        ..Row::plain(
            &format!("transactions of 1 record, 1 producer, RF 3, {}", way.name),
            format!("{:.0}/s ({:.0}-{:.0})", median(rounds)?, spread.low, spread.high),
        )
    })
}

/// A transactional producer.
struct Producer {
    way: Way,
    id: String,
    topic: String,
    coordinator: Client,
    leader: Client,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    value: Vec<u8>,
}

impl Producer {
    fn new(server: &Server, way: Way) -> Result<Producer, BenchError> {
        let mut admin = Client::connect(server.address()?)?;
        let topic = format!("transactions-{}", way.end);
        let id = format!("producer-{}", way.end);
        let placement = topics::create(&mut admin, &topic, 1, 3, &[])?;
        let coordinator = coordinators::find(&mut admin, &id, TRANSACTION)?;
        let mut producer = Producer {
            way,
            id,
            topic,
            coordinator: Client::connect(&coordinator)?,
            leader: Client::connect(placement.leader(0)?)?,
            producer_id: -1,
            epoch: -1,
            sequence: 0,
            value: vec![b'v'; VALUE_BYTES],
        };
        producer.init()?;
        Ok(producer)
    }

    fn init(&mut self) -> Result<(), BenchError> {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.id.clone()),
            transaction_timeout_ms: TRANSACTION_TIMEOUT_MS,
            ..InitProducerIdRequest::default()
        };
        let deadline = Instant::now() + OFFICE_TIMEOUT;
        loop {
            let answer = self.coordinator.call(INIT_VERSION, &request)?;
            match answer.error_code {
                ErrorCode::NONE => {
                    (self.producer_id, self.epoch) = (answer.producer_id, answer.producer_epoch);
                    return Ok(());
                }
                code if coordinators::opens_soon(code) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                code => return Err(refused("InitProducerId", code)),
            }
        }
    }

    fn round(&mut self, count: u64) -> Result<Latencies, BenchError> {
        let mut latencies = Latencies::new();
        for _ in 0..count {
            let begin = Instant::now();
            if self.way.names_partitions {
                self.add_partition()?;
            }
            self.produce()?;
            self.commit()?;
            latencies.record(begin.elapsed());
        }
        Ok(latencies)
    }

    fn add_partition(&mut self) -> Result<(), BenchError> {
        let topic = AddPartitionsToTxnTopic { name: self.topic.clone(), partitions: vec![0] };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.clone(),
            v3_and_below_producer_id: self.producer_id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = self.coordinator.call(ADD_VERSION, &request)?;
        let results =
            answer.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
        one("AddPartitionsToTxn", results.map(|partition| partition.partition_error_code))
    }

    fn produce(&mut self) -> Result<(), BenchError> {
        let batch = BatchBuilder::new()
            .producer(self.producer_id, self.epoch, self.sequence)
            .transactional()
            .record(0, None, Some(&self.value))
            .build()?;
        self.sequence += 1;
        let partition_data = vec![PartitionProduceData { index: 0, records: Some(batch) }];
        let request = ProduceRequest {
            transactional_id: Some(self.id.clone()),
            acks: -1,
            timeout_ms: PRODUCE_TIMEOUT_MS,
            topic_data: vec![TopicProduceData {
                name: self.topic.clone(),
                partition_data,
                ..TopicProduceData::default()
            }],
        };
        let answer = self.leader.call(self.way.produce, &request)?;
        let results = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        one("Produce", results.map(|partition| partition.error_code))
    }

    fn commit(&mut self) -> Result<(), BenchError> {
        let request = EndTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            committed: true,
        };
        let answer = self.coordinator.call(self.way.end, &request)?;
        one("EndTxn", std::iter::once(answer.error_code))?;
        if answer.producer_id >= 0 && answer.producer_epoch != self.epoch {
            // The next transaction has its own epoch, and its sequence begins anew.
            (self.producer_id, self.epoch, self.sequence) = (answer.producer_id, answer.producer_epoch, 0);
        }
        Ok(())
    }
}

/// That there is one result, and no error.
fn one(what: &str, mut codes: impl Iterator<Item = ErrorCode>) -> Result<(), BenchError> {
    match codes.next() {
        Some(ErrorCode::NONE) => Ok(()),
        Some(code) => Err(refused(what, code)),
        None => Err(BenchError::Unexpected(format!("an answer to {what} says nothing"))),
    }
}
