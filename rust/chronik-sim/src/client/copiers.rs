//! Copiers: members of a group that read records and write a copy of each in one transaction with their position. Whatever
//! happens to them and to their coordinators, every record is copied once.

use std::collections::BTreeMap;
use std::rc::Rc;

use chronik_history::{Call, EARLIEST, Isolation, Operation, Text, TxnOffsetCommitArgs};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use chronik_wire::types::NodeId;

use super::group_requests::transactional_commit;
use super::members::{Member, Tended, fate, is_fenced, recorded};
use super::transactions::{ATTEMPTS, Identity, Step, Worker, is_final};
use super::{Client, Crowd, Place};
use crate::random::Random;

/// The topic that copies go to.
pub(super) const COPIES: &str = "copies";
/// Its partitions.
pub(super) const COPIES_PARTITIONS: i32 = 2;
/// The group of the copiers.
pub(crate) const COPIERS: &str = "copiers";

const ADD_OFFSETS_VERSION: i16 = 3;
/// TxnOffsetCommit of a producer that has added the group to its transaction, and of one that leaves it to the broker.
const COMMIT_VERSIONS: (i16, i16) = (3, 5);
/// Longest sleep of a copier that forgets the time, in microseconds.
const SLEEP_US: u64 = 3_000_000;
/// Records copied in one transaction at most.
const RECORDS_MAX: usize = 8;

fn copy_of(place: &Place, offset: i64) -> Text {
    Text::from(format!("copy:{}:{offset}", place.key))
}

/// Copies what its group gives it, under a transactional id of its own.
pub(super) async fn copy(mut member: Member, mut worker: Worker, outputs: Vec<Place>) {
    while !worker.client.is_closing() {
        let Some(mut identity) = worker.init().await else {
            worker.client.back_off().await;
            continue;
        };
        let mut positions: BTreeMap<Text, i64> = BTreeMap::new();
        let mut goes_on = true;
        while goes_on && !worker.client.is_closing() {
            match member.tend().await {
                Tended::Stays => {}
                Tended::Changed => positions.clear(),
                Tended::Lost => {
                    positions.clear();
                    member.client.back_off().await;
                    continue;
                }
            }
            if let Some(place) = member.client.pick(member.owned()).cloned() {
                goes_on =
                    copy_some(&mut member, &mut worker, &mut identity, &place, &outputs, &mut positions)
                        .await;
            }
            if member.client.chance(15) {
                member.forget();
            }
            member.client.pause().await;
        }
    }
    member.leave().await;
}

/// One transaction. False if the producer must begin anew: then nobody knows how far the group has come.
async fn copy_some(
    member: &mut Member,
    worker: &mut Worker,
    identity: &mut Identity,
    place: &Place,
    outputs: &[Place],
    positions: &mut BTreeMap<Text, i64>,
) -> bool {
    let position = match positions.get(&place.key) {
        Some(position) => *position,
        None => match member.committed(place, true).await {
            None => return true,
            Some(..0) => match member.client.list(place, member.client.some_node(), EARLIEST).await {
                Some(start) => start,
                None => return true,
            },
            Some(committed) => committed,
        },
    };
    let node = member.client.some_node();
    let fetched = member.client.fetch_as(place, node, position, 0, "", Isolation::ReadCommitted).await;
    let Ok(fetched) = fetched else { return true };
    let records = fetched.records.get(..fetched.records.len().min(RECORDS_MAX)).unwrap_or_default();
    let next = match records.last() {
        Some(last) if records.len() < fetched.records.len() => last.offset + 1,
        _ => fetched.next,
    };
    positions.insert(place.key.clone(), position);
    let Some(output) = outputs.get(place.partition as usize % outputs.len().max(1)) else { return false };
    if records.is_empty() {
        return true;
    }
    let values: Vec<Text> = records.iter().map(|record| copy_of(place, record.offset)).collect();
    let name = worker.begin();
    if let Step::Failed = worker.write_values(identity, &name, output, values, &mut Vec::new()).await {
        return false;
    }
    if let Step::Failed = commit_position(member, worker, identity, &name, place, next).await {
        worker.end(identity, &name, false).await;
        return false;
    }
    if member.client.chance(60) {
        let for_us = member.client.below(SLEEP_US);
        member.client.crowd.board.sleep(for_us).await;
    }
    if !member.client.is_closing() && member.client.chance(50) {
        return false;
    }
    let commits = member.client.chance(850);
    if !worker.end(identity, &name, commits).await {
        return false;
    }
    if commits {
        member.client.crowd.saw("records_copied");
        positions.insert(place.key.clone(), next);
    }
    true
}

/// Puts the group's position into the transaction.
async fn commit_position(
    member: &mut Member,
    worker: &mut Worker,
    identity: &Identity,
    name: &Text,
    place: &Place,
    offset: i64,
) -> Step {
    if !worker.raising
        && let Step::Failed = add_group(member, worker, identity).await
    {
        return Step::Failed;
    }
    let version = if worker.raising { COMMIT_VERSIONS.1 } else { COMMIT_VERSIONS.0 };
    let who = member.identity().clone();
    let producer = (&*worker.transactional_id, identity.id, identity.epoch);
    let request = transactional_commit(producer, &who, place, offset);
    for _ in 0..ATTEMPTS {
        let node = member.coordinator().await;
        let args = TxnOffsetCommitArgs {
            transaction: name.clone(),
            group: Text::from(&*who.group),
            generation: who.generation,
            offset,
            bound_ms: None,
        };
        let pending = member.client.invoked(node, &place.key, Operation::TxnOffsetCommit(Call::new(args)));
        let answer = member.client.ask(node, false, version, &request).await.ok().flatten();
        let code = answer
            .and_then(|answer| answer.topics.into_iter().next()?.partitions.into_iter().next())
            .map_or(ErrorCode::NETWORK_EXCEPTION, |partition| partition.error_code);
        member.client.returned(&pending, recorded(code), fate(code), |_| ());
        member.heed(code);
        if code.is_none() {
            return Step::Done;
        }
        if is_fenced(code) {
            member.client.crowd.saw("positions_fenced");
        }
        if is_fenced(code) || code == ErrorCode::REBALANCE_IN_PROGRESS || is_final(code) {
            return Step::Failed;
        }
        member.client.back_off().await;
    }
    Step::Failed
}

/// Tells the transaction's coordinator which group's position will be committed.
async fn add_group(member: &Member, worker: &mut Worker, identity: &Identity) -> Step {
    let request = AddOffsetsToTxnRequest {
        transactional_id: worker.transactional_id.to_string(),
        producer_id: identity.id,
        producer_epoch: identity.epoch,
        group_id: member.identity().group.clone(),
    };
    for _ in 0..ATTEMPTS {
        let node = worker.coordinator().await;
        let answer = worker.client.ask(node, false, ADD_OFFSETS_VERSION, &request).await.ok().flatten();
        let code = answer.map_or(ErrorCode::NETWORK_EXCEPTION, |answer| answer.error_code);
        if code.is_none() {
            return Step::Done;
        }
        if is_final(code) {
            return Step::Failed;
        }
        worker.heed(code);
        worker.client.back_off().await;
    }
    Step::Failed
}

/// Complains of records below the group's position that were not copied, and of copies that are there twice. The logs must
/// hold everything that was ever read.
pub(crate) async fn judge_copies(crowd: Rc<Crowd>, replicas: Vec<(Place, Vec<NodeId>)>, random: Random) {
    let client = Client::new(&crowd, "auditor-of-copies", None, random);
    let held = |copies: bool| {
        let of_kind = replicas.iter().filter(move |(place, _)| (&*place.topic == COPIES) == copies);
        of_kind.filter_map(|(place, nodes)| Some((place, *nodes.first()?)))
    };
    let mut copies: BTreeMap<Text, u64> = BTreeMap::new();
    for (place, node) in held(true) {
        for (_, value) in client.read_all(place, node).await {
            *copies.entry(value).or_default() += 1;
        }
    }
    for (copy, times) in copies.iter().filter(|(_, times)| **times > 1) {
        client.complain(format!("{copy} is there {times} times"));
    }
    for (place, node) in held(false) {
        let position = loop {
            match client.committed(COPIERS, place, (node, true), true).await {
                Ok(position) => break position,
                Err(_) => client.back_off().await,
            }
        };
        for (offset, _) in client.read_all(place, node).await {
            if offset < position && !copies.contains_key(&copy_of(place, offset)) {
                client.complain(format!(
                    "record {offset} of {} was not copied, and the position is {position}",
                    place.key
                ));
            }
        }
    }
}

impl Client {
    /// Offsets and values of everything that readers of committed records see of a place at a node, once all is decided.
    async fn read_all(&self, place: &Place, node: NodeId) -> Vec<(i64, Text)> {
        let mut records = Vec::new();
        let mut position = loop {
            match self.list(place, node, EARLIEST).await {
                Some(start) => break start,
                None => self.back_off().await,
            }
        };
        loop {
            match self.fetch_as(place, node, position, 0, "", Isolation::ReadCommitted).await {
                Ok(fetched) => {
                    let stands = fetched.next == position;
                    position = fetched.next;
                    records.extend(fetched.records.into_iter().map(|record| (record.offset, record.value)));
                    if position >= fetched.high_watermark {
                        return records;
                    }
                    if stands {
                        // What the dead left open is soon decided.
                        self.back_off().await;
                    }
                }
                Err(_) => self.back_off().await,
            }
        }
    }
}
