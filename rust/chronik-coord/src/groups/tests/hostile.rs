//! Callers that know no rules, on both protocols at once, and bytes that are no records: whatever comes, the seat's checks
//! hold, nothing panics, and what cannot be read changes nothing.

use super::*;
use crate::coordinator::CoordinatorRecord;
use chronik_wire::messages::consumer_protocol::{ConsumerProtocolSubscription, write_versioned};
use proptest::prelude::*;

/// Raw choices, from which a call is made.
type Choice = (u8, u8, i32, u8);

struct Anarchy {
    seat: Seat,
    ids: Vec<String>,
    open: Vec<Ticket>,
}

impl Anarchy {
    fn id(&self, choice: u8) -> String {
        match usize::from(choice).checked_sub(2) {
            None => String::new(),
            Some(0) => "ghost".to_owned(),
            Some(index) => self.ids.get(index % self.ids.len().max(1)).cloned().unwrap_or_default(),
        }
    }

    fn instance(choice: u8) -> Option<String> {
        [None, None, Some("s"), Some("r"), Some("")][usize::from(choice) % 5].map(str::to_owned)
    }

    fn group(choice: u8) -> String {
        ["g", "g", "g", "h", ""][usize::from(choice) % 5].to_owned()
    }

    fn call(&self, (kind, who, number, what): Choice) -> GroupCall {
        let (member_id, group_id) = (self.id(who), Self::group(what));
        let group_instance_id = Self::instance(what / 5);
        match kind % 14 {
            0..3 => GroupCall::Join(JoinGroupRequest {
                group_id,
                session_timeout_ms: 10_000,
                rebalance_timeout_ms: number * 1_000,
                member_id,
                group_instance_id,
                protocol_type: if what > 250 { "connect" } else { "consumer" }.to_owned(),
                protocols: self.protocols(what),
                reason: None,
            }),
            3..5 => GroupCall::Sync(SyncGroupRequest {
                group_id,
                generation_id: number,
                member_id: member_id.clone(),
                group_instance_id,
                assignments: vec![SyncGroupRequestAssignment {
                    member_id,
                    assignment: Bytes::from(vec![what]),
                }],
                ..Default::default()
            }),
            5 => GroupCall::Heartbeat(HeartbeatRequest {
                group_id,
                generation_id: number,
                member_id,
                group_instance_id,
            }),
            6 => GroupCall::Leave(LeaveGroupRequest {
                group_id,
                member_id: member_id.clone(),
                members: vec![
                    MemberIdentity { member_id, group_instance_id, reason: None };
                    usize::from(what % 3)
                ],
            }),
            7 => GroupCall::OffsetCommit(OffsetCommitRequest {
                group_id,
                member_id,
                group_instance_id,
                generation_id_or_member_epoch: number,
                ..commit(i32::from(what % 4), i64::from(number))
            }),
            8 => GroupCall::TxnOffsetCommit(TxnOffsetCommitRequest {
                group_id,
                generation_id: number,
                member_id,
                ..transactional(i64::from(what % 3) - 1, 0, 0, 7)
            }),
            9 => GroupCall::DeleteGroup { group_id },
            10 => GroupCall::OffsetDelete(OffsetDeleteRequest {
                group_id,
                topics: vec![offset_delete::OffsetDeleteRequestTopic {
                    name: "t".to_owned(),
                    partitions: vec![offset_delete::OffsetDeleteRequestPartition { partition_index: number }],
                }],
            }),
            _ => GroupCall::ConsumerHeartbeat(self.consumer_heartbeat(group_id, member_id, number, what)),
        }
    }

    fn protocols(&self, what: u8) -> Vec<JoinGroupRequestProtocol> {
        let subscription = ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
        let metadata = write_versioned(&subscription, i16::from(what % 4)).expect("encodes");
        let range = JoinGroupRequestProtocol { name: "range".into(), metadata };
        match what % 8 {
            0 => Vec::new(),
            1 => vec![protocol("other", "garbage"), range],
            2 => vec![protocol("range", "garbage")],
            _ => vec![range],
        }
    }

    fn consumer_heartbeat(
        &self,
        group_id: String,
        member_id: String,
        number: i32,
        what: u8,
    ) -> ConsumerGroupHeartbeatRequest {
        let owned = |partitions: Vec<i32>| {
            vec![consumer_group_heartbeat::TopicPartitions { topic_id: TopicId(1), partitions }]
        };
        ConsumerGroupHeartbeatRequest {
            group_id,
            member_id: if member_id.is_empty() { format!("m{}", what % 3) } else { member_id },
            member_epoch: number,
            instance_id: Self::instance(what / 5),
            rack_id: None,
            rebalance_timeout_ms: i32::from(what) * 100 - 1,
            subscribed_topic_names: (!what.is_multiple_of(3))
                .then(|| vec!["u".to_owned(), "t".to_owned(), "t".to_owned()]),
            subscribed_topic_regex: [None, Some("t|u"), Some("("), Some("")][usize::from(what % 4)]
                .map(str::to_owned),
            server_assignor: [None, Some("range"), Some("uniform"), Some("none")][usize::from(what / 64)]
                .map(str::to_owned),
            topic_partitions: [None, Some(Vec::new()), Some(Vec::new()), Some(owned(vec![0, 1, 9]))]
                [usize::from(what / 16 % 4)]
            .clone(),
        }
    }

    fn act(&mut self, choice: Choice) {
        let (kind, who, number, what) = choice;
        match kind {
            240.. => self.seat.fail_over(),
            225.. => self.seat.marker(i64::from(what % 3), 0, who.is_multiple_of(2)),
            200.. => self.seat.advance(i64::from(what) * 100),
            195.. => {
                if let Some(ticket) = self.open.pop().filter(|_| self.seat.machine.waiting() > 0) {
                    self.seat.cancel(ticket);
                }
            }
            _ => {
                let version = i16::from(who % 10);
                let ticket = self.seat.send(self.call((kind, who, number, what)), version);
                match self.seat.take(ticket) {
                    Some(GroupReply::Join(joined)) => self.learn(joined.member_id),
                    Some(GroupReply::ConsumerHeartbeat(answer)) => {
                        self.learn(answer.member_id.unwrap_or_default())
                    }
                    Some(_) => {}
                    None => self.open.push(ticket),
                }
            }
        }
        let known = |seat: &Seat, ticket: &Ticket| seat.outstanding.contains(ticket);
        self.open.retain(|ticket| known(&self.seat, ticket));
    }

    fn learn(&mut self, id: String) {
        if !id.is_empty() && !self.ids.contains(&id) {
            self.ids.push(id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn anarchy_breaks_nothing(
        choices in proptest::collection::vec((any::<u8>(), 0_u8..14, -3_i32..6, any::<u8>()), 1..150),
        delayed in any::<bool>(),
    ) {
        let delay = if delayed { "3000" } else { "0" };
        let statics = [("group.initial.rebalance.delay.ms", delay), ("group.max.size", "5")];
        let mut anarchy = Anarchy { seat: Seat::with(config(&statics)), ids: Vec::new(), open: Vec::new() };
        for choice in choices {
            anarchy.act(choice);
        }
        // Everybody goes silent: in the end nobody is left, and nobody waits.
        anarchy.seat.advance(3_600_000);
        prop_assert_eq!(anarchy.seat.machine.waiting(), 0);
        for (_, group) in anarchy.seat.log.groups() {
            if let state::Membership::Consumer(group) = &group.membership {
                prop_assert!(group.members.is_empty());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_records_change_nothing(
        key in proptest::collection::vec(any::<u8>(), 0..24),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..48)),
        kind in 0_u8..18,
        transactional in any::<bool>(),
    ) {
        let mut state = GroupsState::default();
        let good = record::GroupRecord::Epoch {
            group: "g".into(),
            value: Some(chronik_wire::messages::group_records::ConsumerGroupMetadataValue { epoch: 3, ..Default::default() }),
        };
        state.apply_record(good, None).expect("applies");
        let before = state.clone();
        let key = [&[0, kind][..], &key].concat();
        let record = CoordinatorRecord { key: key.into(), value: value.map(Bytes::from) };
        let transaction = transactional.then_some(OpenTransaction { producer: 1, epoch: 0 });
        match state.apply(&record, Offset(0), 0, transaction) {
            Err(_) => prop_assert_eq!(state, before),
            Ok(()) => {
                let restored = GroupsState::restore(&state.snapshot());
                prop_assert_eq!(restored, Ok(state));
            }
        }
    }

    #[test]
    fn a_snapshot_has_one_form(at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
        let mut seat = Seat::new();
        seat.pair();
        seat.commit_in(transactional(7, 1, 0, 5));
        let group = ConsumerGroupHeartbeatRequest { group_id: "h".to_owned(), ..consumer("m", &["t"]).heartbeat() };
        seat.consumer_heartbeat(group);
        let mut snapshot = seat.log.snapshot().to_vec();
        let at = at.index(snapshot.len());
        snapshot[at] ^= 1 << bit;
        if let Ok(restored) = GroupsState::restore(&snapshot) {
            prop_assert_eq!(&restored.snapshot()[..], &snapshot[..]);
        }
    }
}
