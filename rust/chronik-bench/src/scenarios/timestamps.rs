//! Offsets by timestamp in a log of many segments, beside the look-up that needs no search.

use bytes::Bytes;
use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::ListOffsetsRequest;
use chronik_wire::messages::list_offsets::{EARLIEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic};

use super::latency::produce;
use super::{Settings, median, ratios, show_ratio};
use crate::client::Client;
use crate::error::BenchError;
use crate::machine::CpuClock;
use crate::paced;
use crate::report::{Row, Verdict};
use crate::requests::ProduceFrame;
use crate::topics;

const TOPIC: &str = "by-time";
/// The smallest that the catalogue takes.
const SEGMENT_BYTES: &str = "1048576";
const SEGMENTS: i64 = 400;
/// Twenty batches fit into a segment.
const BATCHES: i64 = 20 * SEGMENTS;
const RECORDS_PER_BATCH: i64 = 50;
const VALUE_BYTES: usize = 1_000;
const LOOKUPS_PER_ROUND: u64 = 400;
const VERSION_MAX: i16 = 5;
const TIMES_MAX: f64 = 2.0;
/// The first record's time, in milliseconds: long ago, but no special value.
const BEGAN_MS: i64 = 1_000_000;

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let server = settings.serve(&["cluster"])?;
    let mut admin = Client::connect(server.address()?)?;
    let configs = [("segment.bytes", SEGMENT_BYTES), ("retention.ms", "-1")];
    let placement = topics::create(&mut admin, TOPIC, 1, 3, &configs)?;
    let mut client = Client::connect(placement.leader(0)?)?;
    for number in 0..BATCHES {
        let frame = ProduceFrame::new(&client, TOPIC, 0, -1, &timed_batch(number * RECORDS_PER_BATCH)?)?;
        produce(&mut client, &frame)?;
    }
    let clock = CpuClock::read(Some(server.pid()));
    let mut rounds = Vec::new();
    for _ in 0..settings.rounds {
        let direct = paced::closed_loop(&mut client, LOOKUPS_PER_ROUND, |client| {
            look_up(client, EARLIEST_TIMESTAMP, 0)
        })?;
        let mut number = 0;
        let searched = paced::closed_loop(&mut client, LOOKUPS_PER_ROUND, |client| {
            // A prime step walks through the whole log, in no order that a cache would like.
            number = (number + 104_729) % (BATCHES * RECORDS_PER_BATCH);
            look_up(client, BEGAN_MS + number, number)
        })?;
        rounds.push((searched.p50_us(), direct.p50_us()));
    }
    let cpu = clock.used();
    let ratio = ratios(rounds.iter().copied())?;
    Ok(vec![Row {
        what: format!("offset by timestamp, {SEGMENTS} segments, p50"),
        reached: format!("{:.1} µs", median(rounds.iter().map(|(searched, _)| *searched))?),
        limit: format!("earliest offset {:.1} µs", median(rounds.iter().map(|(_, direct)| *direct))?),
        ratio: show_ratio(ratio),
        target: format!("≤ {TIMES_MAX}"),
        verdict: Verdict::of(ratio.median <= TIMES_MAX),
        cpu: cpu.shares(),
        marks: cpu.marks(),
    }])
}

/// Asks for the first record at or after a time, and checks that it is the one.
fn look_up(client: &mut Client, timestamp: i64, expected: i64) -> Result<(), BenchError> {
    let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: TOPIC.into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
    let answer = client.call(client.version::<ListOffsetsRequest>(VERSION_MAX)?, &request)?;
    let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    let found = found.ok_or_else(|| BenchError::Unexpected("an answer without a partition".into()))?;
    match found.error_code {
        ErrorCode::NONE if found.offset == expected => Ok(()),
        ErrorCode::NONE => Err(BenchError::Unexpected(format!(
            "timestamp {timestamp} is at offset {expected}, and was found at {}",
            found.offset
        ))),
        code => Err(BenchError::Refused { what: "ListOffsets".into(), code }),
    }
}

/// A batch whose records are a millisecond apart: the record at offset n has the time of n.
fn timed_batch(first: i64) -> Result<Bytes, BenchError> {
    let value = [b'v'; VALUE_BYTES];
    let mut builder = BatchBuilder::new();
    for number in first..first + RECORDS_PER_BATCH {
        builder.push(BEGAN_MS + number, None, Some(&value), &[]);
    }
    Ok(builder.build()?)
}
