//! A group of the newer protocol (KIP-848), whose coordinator assigns: fifty members find together when one comes.

use std::time::{Duration, Instant};

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::ConsumerGroupHeartbeatRequest;
use chronik_wire::messages::consumer_group_heartbeat::TopicPartitions;

use super::{Settings, median};
use crate::client::Client;
use crate::coordinators::{self, GROUP, refused};
use crate::error::BenchError;
use crate::latencies::Spread;
use crate::machine::CpuClock;
use crate::report::{Row, Verdict};
use crate::topics;

const GROUP_NAME: &str = "fifty-consumers";
const TOPIC: &str = "fifty-consumers";
const MEMBERS: usize = 50;
const PARTITIONS: usize = 100;
const REBALANCE_MS_MAX: f64 = 200.0;
/// Rebalances of one round: a member comes, and goes.
const ARRIVALS_PER_ROUND: usize = 4;
const REBALANCE_TIMEOUT_MS: i32 = 30_000;
const VERSION_MAX: i16 = 1;
/// What a member that joins, and one that leaves, says its epoch is.
const JOINING: i32 = 0;
const LEAVING: i32 = -1;
/// Rounds of heartbeats in which a group must have come together.
const BEATS_MAX: usize = 50;
/// Longest wait for a coordinator to take office.
const OFFICE_TIMEOUT: Duration = Duration::from_secs(10);

/// A member with a connection of its own.
struct Member {
    client: Client,
    id: String,
    epoch: i32,
    /// What it was given.
    owned: Vec<TopicPartitions>,
    /// It has not said yet that it took what it was given.
    owes_word: bool,
}

/// From the first heartbeat of a member that comes until all partitions are with their members, each of which beats again
/// as soon as it has its answer. Consumers beat as often as the coordinator tells them.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let server = settings.serve(&["cluster"])?;
    let mut admin = Client::connect(server.address()?)?;
    topics::create(&mut admin, TOPIC, PARTITIONS as i32, 3, &[])?;
    let coordinator = coordinators::find(&mut admin, GROUP_NAME, GROUP)?;
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        members.push(Member::new(&coordinator, number)?);
    }
    converge(&mut members)?;
    let clock = CpuClock::read(Some(server.pid()));
    let (mut rounds, mut beats) = (Vec::new(), 0);
    for _ in 0..settings.rounds {
        let mut best_ms = f64::INFINITY;
        for _ in 0..ARRIVALS_PER_ROUND {
            if let Some(mut gone) = members.pop() {
                gone.epoch = LEAVING;
                gone.beat()?;
            }
            converge(&mut members)?;
            let newcomer = Member::new(&coordinator, MEMBERS)?;
            let begin = Instant::now();
            members.push(newcomer);
            beats = converge(&mut members)?;
            best_ms = best_ms.min(begin.elapsed().as_secs_f64() * 1e3);
        }
        rounds.push(best_ms);
    }
    let cpu = clock.used();
    let spread = Spread::of(rounds.iter().copied());
    let spread = spread.ok_or_else(|| BenchError::Unexpected("no round was measured".into()))?;
    Ok(vec![Row {
        limit: format!("{beats} beats of each"),
        target: format!("≤ {REBALANCE_MS_MAX} ms"),
        verdict: Verdict::of(spread.median <= REBALANCE_MS_MAX),
        cpu: cpu.shares(),
        marks: cpu.marks(),
        ..Row::plain(
            &format!("rebalance of {MEMBERS} members that the coordinator assigns (KIP-848)"),
            format!("{:.1} ms ({:.1}-{:.1})", median(rounds)?, spread.low, spread.high),
        )
    }])
}

/// Everybody beats until everything is assigned evenly and taken; returns how many times that was.
fn converge(members: &mut [Member]) -> Result<usize, BenchError> {
    for beat in 1..=BEATS_MAX {
        members.iter_mut().try_for_each(Member::post)?;
        members.iter_mut().try_for_each(Member::collect)?;
        let shares = || members.iter().map(Member::share);
        let (least, most) = (shares().min().unwrap_or(0), shares().max().unwrap_or(0));
        let epoch = members.first().map(|member| member.epoch);
        let settled = |member: &Member| Some(member.epoch) == epoch && !member.owes_word;
        if shares().sum::<usize>() == PARTITIONS && most - least <= 1 && members.iter().all(settled) {
            return Ok(beat);
        }
    }
    Err(BenchError::Unexpected(format!(
        "the group did not come together in {BEATS_MAX} beats of each member"
    )))
}

impl Member {
    fn new(coordinator: &str, number: usize) -> Result<Member, BenchError> {
        Ok(Member {
            client: Client::connect(coordinator)?,
            id: format!("member-{number}"),
            epoch: JOINING,
            owned: Vec::new(),
            owes_word: true,
        })
    }

    /// How many partitions it has.
    fn share(&self) -> usize {
        self.owned.iter().map(|topic| topic.partitions.len()).sum()
    }

    fn post(&mut self) -> Result<(), BenchError> {
        let joins = self.epoch == JOINING;
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP_NAME.into(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { REBALANCE_TIMEOUT_MS } else { -1 },
            subscribed_topic_names: joins.then(|| vec![TOPIC.into()]),
            topic_partitions: std::mem::take(&mut self.owes_word).then(|| self.owned.clone()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        self.client.post(self.client.version::<ConsumerGroupHeartbeatRequest>(VERSION_MAX)?, &request)
    }

    fn collect(&mut self) -> Result<(), BenchError> {
        let version = self.client.version::<ConsumerGroupHeartbeatRequest>(VERSION_MAX)?;
        let deadline = Instant::now() + OFFICE_TIMEOUT;
        let answer = loop {
            let answer = self.client.collect::<ConsumerGroupHeartbeatRequest>(version)?;
            match answer.error_code {
                ErrorCode::NONE => break answer,
                code if coordinators::opens_soon(code) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                    self.owes_word |= self.epoch == JOINING;
                    self.post()?;
                }
                code => return Err(refused("ConsumerGroupHeartbeat", code)),
            }
        };
        self.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            self.owned = assignment.topic_partitions;
            self.owes_word = true;
        }
        Ok(())
    }

    fn beat(&mut self) -> Result<(), BenchError> {
        self.post()?;
        self.collect()
    }
}
