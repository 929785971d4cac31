//! Consumers that share partitions in a group. They fall asleep past their sessions, die without a word, leave in form, and
//! commit as if nothing had happened when they wake.

use std::collections::BTreeMap;
use std::rc::Rc;

use chronik_history::{EARLIEST, Text};
use chronik_wire::error_code::ErrorCode;

use super::copiers::COPIERS;
use super::members::{Member, Tended};
use super::{Client, Place};

/// The groups, by the protocol that their members speak.
pub(super) const CLASSIC: &str = "classic";
pub(super) const NEWER: &str = "newer";

/// Longest sleep of a member that forgets the time, in microseconds: about two sessions.
const SLEEP_US: u64 = 3_000_000;

/// Reads what its group gives it, and commits how far it has come.
pub(super) async fn consume(mut member: Member) {
    let mut positions: BTreeMap<Text, i64> = BTreeMap::new();
    while !member.client.is_closing() {
        match member.tend().await {
            Tended::Stays => {}
            Tended::Changed => positions.clear(),
            Tended::Lost => {
                positions.clear();
                member.client.back_off().await;
                continue;
            }
        }
        for place in member.owned().to_vec() {
            read_on(&mut member, &place, &mut positions).await;
            if !member.owned().contains(&place) {
                break;
            }
        }
        if member.client.chance(30) {
            let for_us = member.client.below(SLEEP_US);
            member.client.crowd.board.sleep(for_us).await;
        } else if member.client.chance(15) {
            member.forget();
        } else if member.client.chance(15) {
            member.leave().await;
        }
        member.client.pause().await;
    }
    member.leave().await;
}

async fn read_on(member: &mut Member, place: &Place, positions: &mut BTreeMap<Text, i64>) {
    let position = match positions.get(&place.key) {
        Some(position) => *position,
        None => {
            let Some(begin) = begin(member, place).await else { return };
            member.client.assign(place, begin);
            begin
        }
    };
    let node = member.client.some_node();
    match member.client.fetch(place, node, position, 0, "").await {
        Ok(fetched) => {
            positions.insert(place.key.clone(), fetched.next);
            if member.client.chance(40) {
                // It has read, and is slow with what it has read: the group may have moved on.
                let for_us = member.client.below(SLEEP_US);
                member.client.crowd.board.sleep(for_us).await;
            }
            // What became of it is written down.
            let _ = member.commit(place, fetched.next).await;
        }
        Err(ErrorCode::OFFSET_OUT_OF_RANGE) => {
            positions.remove(&place.key);
            // Retention overtook the group.
            if let Some(start) = member.client.list(place, node, EARLIEST).await {
                member.client.assign(place, start);
                positions.insert(place.key.clone(), start);
            }
        }
        Err(_) => {}
    }
}

/// Where the group's reading of a place goes on; `None` if nobody could say.
async fn begin(member: &mut Member, place: &Place) -> Option<i64> {
    let require_stable = member.client.chance(500);
    match member.committed(place, require_stable).await? {
        ..0 => {
            let node = member.client.some_node();
            member.client.list(place, node, EARLIEST).await
        }
        committed => Some(committed),
    }
}

/// Asks one node how far the groups have come, whether it coordinates them or not: also one that does not know that it
/// does no longer.
pub(super) async fn watch_offsets(client: Client, places: Rc<[Place]>) {
    let Some(home) = client.home else { return };
    while !client.is_closing() {
        let Some(place) = client.pick(&places) else { return };
        let group = *client.pick(&[CLASSIC, NEWER, COPIERS]).unwrap_or(&CLASSIC);
        let (pinned, require_stable) = (client.chance(300), client.chance(300));
        // What is answered is written down.
        let _ = client.committed(group, place, (home, pinned), require_stable).await;
        client.pause().await;
    }
}
