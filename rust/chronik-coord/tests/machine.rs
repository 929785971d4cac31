//! The machine as a whole: determinism, snapshots, re-sent commands, hostile bytes.

mod common;

use chronik_coord::{
    Acl, AclFilter, Action, AlterConfigs, AlterQuotas, Change, CodecError, Command, CommandId, CommandReply,
    ConfigChange, ConfigOp, ConfigResource, Controller, CreatePartitions, CreateTopics, DeleteTopics,
    MorePartitions, NewTopic, OpKind, QuotaChange, QuotaValue, TopicDefaults, TopicRef, limits,
};
use chronik_wire::types::{NodeId, Offset, PartitionIndex, TopicId};
use common::{Rig, broker, create, id, topic};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("c".to_owned()),
        Just("__meta".to_owned()),
        ".{0,3}"
    ]
}

fn configs() -> impl Strategy<Value = (String, Option<String>)> {
    let name =
        prop_oneof![Just("retention.ms"), Just("cleanup.policy"), Just("log.retention.ms"), Just("nonsense")];
    let value = prop_oneof![Just("1"), Just("compact"), Just("delete,compact"), Just("")];
    (name, option::of(value)).prop_map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
}

fn new_topics() -> impl Strategy<Value = NewTopic> {
    let nodes = vec((0..6).prop_map(NodeId), 0..4);
    (
        names(),
        2..12_u128,
        -1..4_i32,
        -1..4_i16,
        vec(((0..3).prop_map(PartitionIndex), nodes), 0..2),
        vec(configs(), 0..2),
    )
        .prop_map(|(name, id, partitions, replication_factor, assignments, configs)| NewTopic {
            name,
            id: TopicId(id),
            partitions,
            replication_factor,
            assignments,
            configs,
        })
}

fn changes() -> impl Strategy<Value = Change> {
    let kind =
        prop_oneof![Just(OpKind::Set), Just(OpKind::Delete), Just(OpKind::Append), Just(OpKind::Subtract)];
    let op = (configs(), kind).prop_map(|((name, value), kind)| ConfigOp { name, kind, value });
    prop_oneof![vec(configs(), 0..3).prop_map(Change::Replace), vec(op, 0..3).prop_map(Change::Incremental)]
}

fn growth() -> impl Strategy<Value = MorePartitions> {
    let nodes = vec((0..5).prop_map(NodeId), 0..3);
    (names(), 0..6, proptest::option::of(vec(nodes, 0..3)))
        .prop_map(|(name, count, assignments)| MorePartitions { name, count, assignments })
}

fn acls() -> impl Strategy<Value = Acl> {
    (1..5_u8, 2..5_u8, "[a-b]{0,2}", 2..4_u8, 2..4_u8).prop_map(
        |(resource_type, kind, name, operation, permission)| Acl {
            resource_type,
            pattern_type: kind,
            resource_name: name,
            principal: "User:u".into(),
            host: "*".into(),
            operation,
            permission,
        },
    )
}

fn acl_filters() -> impl Strategy<Value = AclFilter> {
    (1..4_u8, 1..5_u8, proptest::option::of("[a-b]{0,2}"), 1..4_u8).prop_map(
        |(resource_type, pattern_type, resource_name, operation)| AclFilter {
            resource_type,
            pattern_type,
            resource_name,
            principal: None,
            host: None,
            operation,
            permission: 1,
        },
    )
}

fn quota_changes() -> impl Strategy<Value = QuotaChange> {
    let kind = prop_oneof![Just("user"), Just("client-id"), Just("ip"), Just("cow")].prop_map(str::to_owned);
    let entity = vec((kind, proptest::option::of("[a-b]{0,1}")), 0..3);
    let key = prop_oneof![Just("producer_byte_rate"), Just("request_percentage"), Just("nonsense")];
    let value = prop_oneof![Just(-1.0), Just(0.5), Just(7.0), Just(f64::NAN)];
    let op = (key.prop_map(str::to_owned), proptest::option::of(value.prop_map(QuotaValue::new)));
    (entity, vec(op, 0..3)).prop_map(|(entity, ops)| QuotaChange { entity, ops })
}

fn actions() -> impl Strategy<Value = Action> {
    let resource = prop_oneof![
        names().prop_map(ConfigResource::Topic),
        option::of((0..6).prop_map(NodeId)).prop_map(ConfigResource::Broker),
        "[a-b]{0,1}".prop_map(ConfigResource::Group),
    ];
    let change = (resource, changes()).prop_map(|(resource, change)| ConfigChange { resource, change });
    let reference =
        prop_oneof![names().prop_map(TopicRef::Name), (2..12_u128).prop_map(|id| TopicRef::Id(TopicId(id)))];
    prop_oneof![
        "[A-Za-z]{21,22}".prop_map(|cluster_id| Action::SetClusterId { cluster_id }),
        (0..6).prop_map(|id| Action::RegisterBroker(broker(id))),
        (0..6).prop_map(|id| Action::UnregisterBroker { id: NodeId(id) }),
        (vec(new_topics(), 0..3), vec((0..6).prop_map(NodeId), 0..3)).prop_map(|(topics, live)| {
            let defaults = TopicDefaults { partitions: 2, replication_factor: -1 };
            Action::CreateTopics(CreateTopics { topics, live, defaults })
        }),
        vec(reference, 0..3).prop_map(|topics| Action::DeleteTopics(DeleteTopics { topics })),
        vec(change, 0..3).prop_map(|resources| Action::AlterConfigs(AlterConfigs { resources })),
        (0..6).prop_map(|broker| Action::AllocateProducerIds { broker: NodeId(broker) }),
        vec(growth(), 0..3)
            .prop_map(|topics| Action::CreatePartitions(CreatePartitions { topics, live: vec![] })),
        vec(acls(), 0..3).prop_map(|acls| Action::CreateAcls { acls }),
        vec(acl_filters(), 0..3).prop_map(|filters| Action::DeleteAcls { filters }),
        vec(quota_changes(), 0..3).prop_map(|entries| Action::AlterQuotas(AlterQuotas { entries })),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    // Few sequence numbers, so that some commands are sent twice.
    (0..40_u64, actions()).prop_map(|(sequence, action)| Command { id: id(sequence), action })
}

proptest! {
    #[test]
    fn commands_and_replies_round_trip(commands in vec(commands(), 1..20)) {
        let mut controller = Controller::new();
        for (offset, command) in (0..).zip(&commands) {
            let bytes = command.encode().expect("small");
            prop_assert_eq!(&Command::decode(&bytes).expect("own bytes"), command);
            let reply = controller.apply(command, Offset(offset));
            let bytes = reply.encode().expect("small");
            prop_assert_eq!(CommandReply::decode(&bytes).expect("own bytes"), reply);
        }
    }

    #[test]
    fn equal_commands_give_equal_bytes_also_after_a_restart(commands in vec(commands(), 1..40), cut in 0..40_usize) {
        let (mut one, mut two) = (Controller::new(), Controller::new());
        for (offset, command) in (0..).zip(&commands) {
            if offset as usize == cut {
                two = Controller::restore(&two.snapshot()).expect("own bytes");
            }
            let reply = one.apply(command, Offset(offset));
            prop_assert_eq!(two.apply_bytes(&command.encode().expect("small"), Offset(offset)).expect("own bytes"), reply);
        }
        prop_assert_eq!(one.snapshot(), two.snapshot());
        let restored = Controller::restore(&one.snapshot()).expect("own bytes");
        prop_assert_eq!(&restored, &one);
        prop_assert_eq!(restored.image(), one.image());
    }

    #[test]
    fn a_check_foretells_apply(commands in vec(commands(), 1..20), last in actions()) {
        let mut controller = Controller::new();
        for (offset, command) in (0..).zip(&commands) {
            controller.apply(command, Offset(offset));
        }
        let foretold = controller.check(&last);
        let fresh = Command { id: id(1_000), action: last };
        prop_assert_eq!(controller.apply(&fresh, Offset(1_000)).body, foretold.body);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_value(bytes in vec(any::<u8>(), 0..200)) {
        let with_version: Vec<u8> = std::iter::once(1).chain(bytes.iter().copied()).collect();
        for bytes in [&bytes, &with_version] {
            let _ = Command::decode(bytes);
            let _ = CommandReply::decode(bytes);
            let _ = Controller::restore(bytes);
        }
    }

    #[test]
    fn damaged_snapshots_are_an_error_or_a_sound_controller(
        commands in vec(commands(), 1..20),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut controller = Controller::new();
        for (offset, command) in (0..).zip(&commands) {
            controller.apply(command, Offset(offset));
        }
        let mut bytes = controller.snapshot().to_vec();
        let length = cut.index(bytes.len());
        prop_assert!(Controller::restore(&bytes[..length]).is_err(), "a prefix is never a snapshot");
        let position = at.index(bytes.len());
        bytes[position] = value;
        if let Ok(restored) = Controller::restore(&bytes) {
            // Whatever is accepted has one form only.
            prop_assert_eq!(restored.snapshot(), bytes);
        }
    }
}

#[test]
fn a_command_sent_again_is_not_applied_again() {
    let mut rig = Rig::new(3);
    let command = Command { id: id(500), action: Action::AllocateProducerIds { broker: NodeId(1) } };
    let first = rig.controller.apply(&command, Offset(10));
    let again = rig.controller.apply(&command, Offset(11));
    assert_eq!(first, again);
    assert_eq!(again.at, Offset(10), "the reply names the place where it took effect");
    let image = rig.controller.image();
    assert_eq!((image.next_producer_id, image.offset), (1_000, Offset(11)));
    assert_eq!(rig.controller.reply(command.id), Some(&first));

    let other_life = CommandId { incarnation: 8, ..command.id };
    rig.controller.apply(&Command { id: other_life, ..command }, Offset(12));
    assert_eq!(rig.controller.image().next_producer_id, 2_000, "another incarnation counts anew");
}

#[test]
fn the_ring_keeps_its_number_of_replies_and_no_more() {
    let mut rig = Rig::new(1);
    let first = rig.next as u64;
    for _ in 0..limits::REPLIES_KEPT {
        rig.run(Action::AllocateProducerIds { broker: NodeId(1) });
    }
    assert!(rig.controller.reply(id(first)).is_some());
    rig.run(Action::AllocateProducerIds { broker: NodeId(1) });
    assert!(rig.controller.reply(id(first)).is_none());
    assert!(rig.controller.reply(id(first + 1)).is_some());
    assert_eq!(Controller::restore(&rig.controller.snapshot()).expect("own bytes"), rig.controller);
}

#[test]
fn the_ring_is_bounded_in_items_too_and_keeps_the_newest() {
    let mut rig = Rig::new(1);
    let names: Vec<_> = (0..limits::ITEMS_PER_COMMAND_MAX).map(|_| TopicRef::Id(TopicId(77))).collect();
    for _ in 0..3 {
        rig.run(Action::DeleteTopics(DeleteTopics { topics: names.clone() }));
    }
    let last = rig.next as u64 - 1;
    assert!(rig.controller.reply(id(last)).is_some());
    assert!(rig.controller.reply(id(last - 1)).is_none());
    assert_eq!(Controller::restore(&rig.controller.snapshot()).expect("own bytes"), rig.controller);
}

#[test]
fn commands_above_their_bounds_are_refused() {
    let mut rig = Rig::new(1);
    let refs =
        |count: usize| Action::DeleteTopics(DeleteTopics { topics: vec![TopicRef::Id(TopicId(9)); count] });
    assert!(rig.run(refs(limits::ITEMS_PER_COMMAND_MAX)).body.rejection().is_none());
    assert!(rig.run(refs(limits::ITEMS_PER_COMMAND_MAX + 1)).body.rejection().is_some());
    let huge = Command { id: id(1), action: refs(limits::COMMAND_BYTES_MAX) };
    assert!(matches!(huge.encode(), Err(CodecError::TooLarge { .. })));
}

#[test]
fn bytes_that_are_no_command_move_only_the_offset() {
    let mut rig = Rig::new(1);
    rig.run(create(vec![topic("a", 5)]));
    let at = Offset(rig.next);
    let before = rig.controller.image();
    assert!(rig.controller.apply_bytes(b"GET / HTTP/1.1", at).is_err());
    let mut after = (*rig.controller.image()).clone();
    assert_eq!(after.offset, at);
    after.offset = before.offset;
    assert_eq!(after, *before);
}

#[test]
fn an_unknown_version_is_named() {
    let mut bytes = Command { id: id(1), action: Action::UnregisterBroker { id: NodeId(1) } }
        .encode()
        .expect("small")
        .to_vec();
    let known = bytes[0];
    for found in [known - 1, known + 1] {
        bytes[0] = found;
        assert_eq!(Command::decode(&bytes), Err(CodecError::Version { found, known }));
    }
    bytes[0] = known;
    bytes.push(0);
    assert_eq!(Command::decode(&bytes), Err(CodecError::Surplus(1)));
}
