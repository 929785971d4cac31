//! Consumer groups: one with fifty members that has to find together again, and a thousand with one member each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use chronik_wire::messages::sync_group::SyncGroupRequestAssignment;
use chronik_wire::messages::{ListGroupsRequest, OffsetCommitRequest};

use super::{Settings, median};
use crate::child::Server;
use crate::client::Client;
use crate::coordinators::{self, GROUP, refused};
use crate::error::BenchError;
use crate::latencies::Spread;
use crate::machine::CpuClock;
use crate::member::Member;
use crate::report::{Row, Verdict};
use crate::topics;

const MEMBERS: usize = 50;
const REBALANCE_MS_MAX: f64 = 200.0;
/// Rebalances of one round: a member comes, and goes.
const ARRIVALS_PER_ROUND: usize = 4;
const GROUPS: usize = 1_000;
/// Heartbeats of all groups that are timed.
const BEATS: usize = 5;
/// Highest versions used: the last in the old encoding.
const COMMIT_VERSION_MAX: i16 = 7;
const LIST_VERSION_MAX: i16 = 2;
/// Longest wait for a coordinator to take office.
const OFFICE_TIMEOUT: Duration = Duration::from_secs(10);

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let server = settings.serve(&["cluster"])?;
    let mut rows = vec![rebalance(settings, &server)?];
    rows.extend(thousand(&server)?);
    Ok(rows)
}

/// A member with a connection of its own.
struct Seat {
    member: Member,
    client: Client,
}

/// A group whose members all do at once what the group asks of them.
struct Group {
    coordinator: String,
    name: String,
    seats: Vec<Seat>,
}

/// From the first request of a member that comes until every member has its part.
fn rebalance(settings: &Settings, server: &Server) -> Result<Row, BenchError> {
    let mut admin = Client::connect(server.address()?)?;
    let coordinator = coordinators::find(&mut admin, "fifty", GROUP)?;
    let mut group = Group { coordinator, name: "fifty".into(), seats: Vec::new() };
    for _ in 0..MEMBERS {
        group.arrival()?;
    }
    let clock = CpuClock::read(Some(server.pid()));
    let mut rounds = Vec::new();
    for _ in 0..settings.rounds {
        let mut best_ms = f64::INFINITY;
        for _ in 0..ARRIVALS_PER_ROUND {
            group.departure()?;
            let begin = Instant::now();
            group.arrival()?;
            best_ms = best_ms.min(begin.elapsed().as_secs_f64() * 1e3);
        }
        rounds.push(best_ms);
    }
    let cpu = clock.used();
    let spread = Spread::of(rounds.iter().copied());
    let spread = spread.ok_or_else(|| BenchError::Unexpected("no round was measured".into()))?;
    Ok(Row {
        target: format!("≤ {REBALANCE_MS_MAX} ms"),
        verdict: Verdict::of(spread.median <= REBALANCE_MS_MAX),
        cpu: cpu.shares(),
        marks: cpu.marks(),
        ..Row::plain(
            &format!("rebalance of {MEMBERS} members, until all have their part"),
            format!("{:.1} ms ({:.1}-{:.1})", median(rounds)?, spread.low, spread.high),
        )
    })
}

impl Group {
    /// A member comes; the others hear of it from their heartbeats.
    fn arrival(&mut self) -> Result<(), BenchError> {
        let mut client = Client::connect(&self.coordinator)?;
        let mut member = Member::new(&self.name);
        join_until_named(&mut member, &mut client)?;
        if self.seats.is_empty() {
            self.seats.push(Seat { member, client });
            return self.assemble(0);
        }
        member.post_join(&mut client)?;
        self.seats.push(Seat { member, client });
        let known = self.seats.len() - 1;
        self.called(known)?;
        self.assemble(known)
    }

    /// The member that came last goes.
    fn departure(&mut self) -> Result<(), BenchError> {
        let Some(mut seat) = self.seats.pop() else { return Ok(()) };
        seat.member.leave(&mut seat.client)?;
        self.called(self.seats.len())?;
        self.assemble(self.seats.len())
    }

    /// The first `known` members send a heartbeat, are told to join again, and ask to.
    fn called(&mut self, known: usize) -> Result<(), BenchError> {
        let mut known: Vec<&mut Seat> = self.seats.iter_mut().take(known).collect();
        for Seat { member, client } in &mut known {
            member.post_heartbeat(client)?;
        }
        for Seat { member, client } in &mut known {
            if member.collect_heartbeat(client)? {
                return Err(BenchError::Unexpected("a member was not told of the rebalance".into()));
            }
            member.post_join(client)?;
        }
        Ok(())
    }

    /// Everybody joins the next generation and fetches a part. All but a first member have asked already.
    fn assemble(&mut self, asked: usize) -> Result<(), BenchError> {
        if let (0, Some(Seat { member, client })) = (asked, self.seats.first_mut()) {
            member.post_join(client)?;
        }
        let mut assignments = BTreeMap::new();
        for (place, Seat { member, client }) in self.seats.iter_mut().enumerate() {
            let Some(joined) = member.collect_join(client)? else {
                return Err(BenchError::Unexpected("a member lost its name".into()));
            };
            if joined.leader == member.id {
                assignments.insert(place, parts(joined.members.into_iter().map(|member| member.member_id)));
            }
        }
        let generation = self.seats.first().map(|seat| seat.member.generation);
        for (place, Seat { member, client }) in self.seats.iter_mut().enumerate() {
            if Some(member.generation) != generation {
                return Err(BenchError::Unexpected("the group came together in two generations".into()));
            }
            member.post_sync(client, assignments.remove(&place).unwrap_or_default())?;
        }
        for Seat { member, client } in &mut self.seats {
            if member.collect_sync(client)? != member.id.as_bytes() {
                return Err(BenchError::Unexpected("a member got another's part".into()));
            }
        }
        Ok(())
    }
}

/// Gives everybody its own name as its part.
fn parts(members: impl Iterator<Item = String>) -> Vec<SyncGroupRequestAssignment> {
    members
        .map(|member_id| {
            let assignment = Bytes::copy_from_slice(member_id.as_bytes());
            SyncGroupRequestAssignment { member_id, assignment }
        })
        .collect()
}

/// Asks until the coordinator, which may be about to take office, has given the member a name.
fn join_until_named(member: &mut Member, client: &mut Client) -> Result<(), BenchError> {
    let deadline = Instant::now() + OFFICE_TIMEOUT;
    loop {
        member.post_join(client)?;
        match member.collect_join(client) {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {
                return Err(BenchError::Unexpected("a member joined without having been named".into()));
            }
            Err(BenchError::Refused { code, .. })
                if coordinators::opens_soon(code) && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A thousand groups form, commit and live.
fn thousand(server: &Server) -> Result<Vec<Row>, BenchError> {
    let mut admin = Client::connect(server.address()?)?;
    topics::create(&mut admin, "thousand", 1, 3, &[])?;
    let mut by_coordinator: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    for number in 0..GROUPS {
        let name = format!("group-{number}");
        let coordinator = coordinators::find(&mut admin, &name, GROUP)?;
        by_coordinator.entry(coordinator).or_default().push(Member::new(&name));
    }
    let mut lanes = Vec::new();
    for (coordinator, members) in by_coordinator {
        lanes.push((Client::connect(&coordinator)?, members));
    }
    let clock = CpuClock::read(Some(server.pid()));
    let begin = Instant::now();
    for (client, members) in &mut lanes {
        form(client, members)?;
    }
    let formed_ms = begin.elapsed().as_secs_f64() * 1e3;
    let forming = clock.used();
    let clock = CpuClock::read(Some(server.pid()));
    let begin = Instant::now();
    for _ in 0..BEATS {
        for (client, members) in &mut lanes {
            members.iter().try_for_each(|member| member.post_heartbeat(client))?;
            for member in members {
                if !member.collect_heartbeat(client)? {
                    return Err(BenchError::Unexpected(format!("group {} fell apart", member.group)));
                }
            }
        }
    }
    let beat_us = begin.elapsed().as_secs_f64() * 1e6 / (GROUPS * BEATS) as f64;
    let beating = clock.used();
    let listed = listed(server)?;
    let row = |what: String, reached: String| Row { verdict: Verdict::None, ..Row::plain(&what, reached) };
    Ok(vec![
        Row {
            target: format!("all {GROUPS}"),
            verdict: Verdict::of(listed == GROUPS),
            cpu: forming.shares(),
            marks: forming.marks(),
            ..row(
                format!("{GROUPS} groups join, sync and commit"),
                format!("{listed} groups in {formed_ms:.0} ms"),
            )
        },
        Row {
            cpu: beating.shares(),
            ..row(format!("{GROUPS} groups live, a heartbeat"), format!("{beat_us:.1} µs"))
        },
    ])
}

/// Lets groups of one member each join, fetch their part and commit an offset, all at a time.
fn form(client: &mut Client, members: &mut [Member]) -> Result<(), BenchError> {
    if let Some(first) = members.first_mut() {
        join_until_named(first, client)?;
    }
    for member in members.iter().skip(1) {
        member.post_join(client)?;
    }
    for member in members.iter_mut().skip(1) {
        member.collect_join(client)?;
    }
    members.iter().try_for_each(|member| member.post_join(client))?;
    for member in members.iter_mut() {
        if member.collect_join(client)?.is_none() {
            return Err(BenchError::Unexpected(format!("group {} took no member", member.group)));
        }
    }
    for member in members.iter() {
        member.post_sync(client, parts(std::iter::once(member.id.clone())))?;
    }
    members.iter().try_for_each(|member| member.collect_sync(client).map(drop))?;
    let version = client.version::<OffsetCommitRequest>(COMMIT_VERSION_MAX)?;
    members.iter().try_for_each(|member| client.post(version, &commit(member)))?;
    for _ in members.iter() {
        let answer = client.collect::<OffsetCommitRequest>(version)?;
        let codes = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if let Some(refusal) =
            codes.map(|partition| partition.error_code).find(|code| *code != ErrorCode::NONE)
        {
            return Err(refused("OffsetCommit", refusal));
        }
    }
    Ok(())
}

fn commit(member: &Member) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition { committed_offset: 0, ..Default::default() };
    OffsetCommitRequest {
        group_id: member.group.clone(),
        generation_id_or_member_epoch: member.generation,
        member_id: member.id.clone(),
        topics: vec![OffsetCommitRequestTopic {
            name: "thousand".into(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

/// How many of the thousand groups the brokers list together.
fn listed(server: &Server) -> Result<usize, BenchError> {
    let mut count = 0;
    for address in server.bootstrap()?.split(',') {
        let mut client = Client::connect(address)?;
        let version = client.version::<ListGroupsRequest>(LIST_VERSION_MAX)?;
        let answer = client.call(version, &ListGroupsRequest::default())?;
        if answer.error_code != ErrorCode::NONE {
            return Err(refused("ListGroups", answer.error_code));
        }
        count += answer.groups.iter().filter(|group| group.group_id.starts_with("group-")).count();
    }
    Ok(count)
}
