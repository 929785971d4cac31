//! Topics that grow, quotas and access control entries: what the controller accepts, refuses and remembers.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use chronik_coord::{
    Acl, AclFilter, Action, AlterQuotas, BrokerRegistration, Controller, CreatePartitions, EntityKind,
    ItemError, MorePartitions, NewTopic, QuotaChange, QuotaEntity, QuotaValue, ReplyBody, acl_kinds,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;
use common::{Rig, broker, topic};

fn grow(rig: &mut Rig, wishes: Vec<MorePartitions>) -> Vec<Option<ErrorCode>> {
    let action = Action::CreatePartitions(CreatePartitions { topics: wishes, live: vec![] });
    match rig.run(action).body {
        ReplyBody::PartitionsCreated(outcomes) => {
            outcomes.into_iter().map(|outcome| outcome.err().map(|error| error.code)).collect()
        }
        other => panic!("no growth: {other:?}"),
    }
}

fn more(name: &str, count: i32, by_hand: Option<&[&[i32]]>) -> MorePartitions {
    let nodes = |nodes: &&[i32]| nodes.iter().copied().map(NodeId).collect();
    MorePartitions {
        name: name.into(),
        count,
        assignments: by_hand.map(|assignments| assignments.iter().map(nodes).collect()),
    }
}

fn rig() -> Rig {
    let mut rig = Rig::new(3);
    let mut new = topic("t", 7);
    (new.partitions, new.replication_factor) = (2, 2);
    assert_eq!(rig.create(new), None);
    rig
}

#[test]
fn new_partitions_have_the_replication_factor_of_the_old_and_leave_those_alone() {
    let mut rig = rig();
    let before = rig.controller.image().topic("t").expect("there").partitions.clone();
    assert_eq!(grow(&mut rig, vec![more("t", 5, None)]), [None]);
    let image = rig.controller.image();
    let after = &image.topic("t").expect("there").partitions;
    assert_eq!((after.len(), &after[..2], image.partition_count()), (5, &before[..], 5));
    assert!(after.iter().all(|partition| partition.replicas.len() == 2));
    let leaders: std::collections::BTreeSet<_> = after.iter().map(|partition| partition.designated).collect();
    assert_eq!(leaders.len(), 3, "leaders go on round the circle: {after:?}");
}

#[test]
fn replicas_chosen_by_hand_are_taken_in_order() {
    let mut rig = rig();
    assert_eq!(grow(&mut rig, vec![more("t", 4, Some(&[&[3, 1], &[2, 3]]))]), [None]);
    let image = rig.controller.image();
    let chosen: Vec<_> =
        image.topic("t").expect("there").partitions[2..].iter().map(|held| held.replicas.clone()).collect();
    assert_eq!(chosen, [vec![NodeId(3), NodeId(1)], vec![NodeId(2), NodeId(3)]]);
}

#[test]
fn bad_growth_gets_kafkas_codes_and_changes_nothing() {
    let mut rig = rig();
    let assigned = ErrorCode::INVALID_REPLICA_ASSIGNMENT;
    let cases: Vec<(MorePartitions, ErrorCode)> = vec![
        (more("absent", 3, None), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (more("t", 2, None), ErrorCode::INVALID_PARTITIONS),
        (more("t", 1, None), ErrorCode::INVALID_PARTITIONS),
        (more("t", -1, None), ErrorCode::INVALID_PARTITIONS),
        (more("t", 10_001, None), ErrorCode::INVALID_PARTITIONS),
        (more("t", 4, Some(&[&[1, 2]])), assigned),
        (more("t", 3, Some(&[&[1]])), assigned),
        (more("t", 3, Some(&[&[1, 1]])), assigned),
        (more("t", 3, Some(&[&[1, 9]])), assigned),
        (more("t", 3, Some(&[&[]])), assigned),
    ];
    for (wish, expected) in cases {
        assert_eq!(grow(&mut rig, vec![wish.clone()]), [Some(expected)], "{wish:?}");
    }
    let twice = grow(&mut rig, vec![more("t", 3, None), more("t", 4, None)]);
    assert_eq!(twice, [Some(ErrorCode::INVALID_REQUEST); 2]);
    assert_eq!(rig.controller.image().partition_count(), 2);
}

type Named<'a> = (&'a str, Option<&'a str>);

fn change(entity: &[Named<'_>], ops: &[(&str, Option<f64>)]) -> QuotaChange {
    QuotaChange {
        entity: entity.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect(),
        ops: ops.iter().map(|(name, value)| ((*name).to_owned(), value.map(QuotaValue::new))).collect(),
    }
}

fn alter(rig: &mut Rig, entries: Vec<QuotaChange>) -> Vec<Result<(), ItemError>> {
    match rig.run(Action::AlterQuotas(AlterQuotas { entries })).body {
        ReplyBody::QuotasAltered(outcomes) => outcomes,
        other => panic!("no quotas: {other:?}"),
    }
}

#[test]
fn quotas_are_kept_changed_removed_and_restored() {
    let mut rig = Rig::new(1);
    let client = [("client-id", Some("a"))];
    let set = change(&client, &[("producer_byte_rate", Some(10.0)), ("request_percentage", Some(0.5))]);
    let default = change(&[("user", None), ("client-id", None)], &[("consumer_byte_rate", Some(5.0))]);
    assert_eq!(alter(&mut rig, vec![set, default]), [Ok(()), Ok(())]);
    let entity = QuotaEntity::from([(EntityKind::ClientId, Some("a".to_owned()))]);
    assert_eq!(rig.controller.image().quotas[&entity]["producer_byte_rate"].get(), 10.0);
    assert_eq!(rig.controller.image().quotas.len(), 2);

    let restored = Controller::restore(&rig.controller.snapshot()).expect("a snapshot");
    assert_eq!(restored, rig.controller);

    let less = change(&client, &[("producer_byte_rate", None), ("request_percentage", Some(1.5))]);
    assert_eq!(alter(&mut rig, vec![less]), [Ok(())]);
    assert_eq!(rig.controller.image().quotas[&entity].len(), 1);
    let none = change(&client, &[("request_percentage", None), ("consumer_byte_rate", None)]);
    assert_eq!(alter(&mut rig, vec![none]), [Ok(())]);
    assert!(!rig.controller.image().quotas.contains_key(&entity), "nothing empty is kept");
}

#[test]
fn quotas_that_make_no_sense_are_refused_and_change_nothing() {
    let mut rig = Rig::new(1);
    let rate = [("producer_byte_rate", Some(1.0))];
    let cases = [
        change(&[], &rate),
        change(&[("cow", Some("a"))], &rate),
        change(&[("user", Some(""))], &rate),
        change(&[("user", Some("a")), ("user", Some("b"))], &rate),
        change(&[("ip", Some("1.2.3.4")), ("user", Some("a"))], &rate),
        change(&[("ip", Some("1.2.3.4"))], &rate),
        change(&[("user", Some("a"))], &[("connection_creation_rate", Some(1.0))]),
        change(&[("user", Some("a"))], &[("nonsense", Some(1.0))]),
        change(&[("user", Some("a"))], &[("nonsense", None)]),
        change(&[("user", Some("a"))], &[("producer_byte_rate", Some(0.0))]),
        change(&[("user", Some("a"))], &[("producer_byte_rate", Some(1.5))]),
        change(&[("user", Some("a"))], &[("request_percentage", Some(f64::NAN))]),
        change(&[("ip", None)], &[("connection_creation_rate", Some(3e9))]),
        change(
            &[("user", Some("a"))],
            &[("consumer_byte_rate", Some(1.0)), ("producer_byte_rate", Some(-1.0))],
        ),
    ];
    for case in cases {
        let outcome = alter(&mut rig, vec![case.clone()]).pop().expect("one outcome");
        assert_eq!(outcome.map_err(|error| error.code), Err(ErrorCode::INVALID_REQUEST), "{case:?}");
    }
    let same = || change(&[("user", Some("a"))], &rate);
    assert!(alter(&mut rig, vec![same(), same()]).iter().all(Result::is_err));
    assert!(rig.controller.image().quotas.is_empty());
}

fn acl(pattern_type: u8, name: &str) -> Acl {
    Acl {
        resource_type: 2,
        pattern_type,
        resource_name: name.to_owned(),
        principal: "User:u".to_owned(),
        host: "*".to_owned(),
        operation: 3,
        permission: 3,
    }
}

fn any_acl() -> AclFilter {
    AclFilter {
        resource_type: acl_kinds::ANY,
        pattern_type: acl_kinds::ANY,
        resource_name: None,
        principal: None,
        host: None,
        operation: acl_kinds::ANY,
        permission: acl_kinds::ANY,
    }
}

#[test]
fn entries_are_kept_once_matched_by_name_and_removed() {
    let mut rig = Rig::new(1);
    let (literal, prefix, every) =
        (acl(acl_kinds::LITERAL, "ab"), acl(acl_kinds::PREFIXED, "a"), acl(acl_kinds::LITERAL, "*"));
    let acls = vec![literal.clone(), prefix.clone(), every.clone(), literal.clone()];
    assert_eq!(rig.run(Action::CreateAcls { acls }).body, ReplyBody::AclsCreated(vec![Ok(()); 4]));
    let found = |pattern_type, name: Option<&str>| {
        let filter = AclFilter { pattern_type, resource_name: name.map(str::to_owned), ..any_acl() };
        rig.controller.image().acls.iter().filter(|acl| filter.matches(acl)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(found(acl_kinds::ANY, None).len(), 3);
    assert_eq!(found(acl_kinds::ANY, Some("ab")), std::slice::from_ref(&literal));
    assert_eq!(found(acl_kinds::MATCH, Some("ab")), [every.clone(), literal.clone(), prefix.clone()]);
    assert_eq!(found(acl_kinds::MATCH, Some("ac")), [every.clone(), prefix.clone()]);
    assert_eq!(found(acl_kinds::PREFIXED, Some("ab")), []);
    assert_eq!(found(acl_kinds::LITERAL, None), [every.clone(), literal.clone()]);
    let restored = Controller::restore(&rig.controller.snapshot()).expect("a snapshot");
    assert_eq!(restored, rig.controller);
    let by_prefix = AclFilter { pattern_type: acl_kinds::PREFIXED, ..any_acl() };
    let filters = vec![by_prefix, any_acl(), any_acl()];
    let removed = rig.run(Action::DeleteAcls { filters }).body;
    assert_eq!(removed, ReplyBody::AclsDeleted(vec![vec![prefix], vec![every, literal], vec![]]));
    assert!(rig.controller.image().acls.is_empty());
}

#[test]
fn entries_that_make_no_sense_are_refused() {
    let good = acl(acl_kinds::LITERAL, "a");
    let cases = [
        Acl { resource_type: 1, ..good.clone() },
        Acl { resource_type: 8, ..good.clone() },
        Acl { resource_type: 4, ..good.clone() },
        Acl { pattern_type: acl_kinds::MATCH, ..good.clone() },
        Acl { resource_name: String::new(), ..good.clone() },
        Acl { operation: 1, ..good.clone() },
        Acl { operation: 16, ..good.clone() },
        Acl { permission: 1, ..good.clone() },
        Acl { principal: "u".to_owned(), ..good },
    ];
    let mut rig = Rig::new(1);
    for case in cases {
        let ReplyBody::AclsCreated(outcomes) = rig.run(Action::CreateAcls { acls: vec![case.clone()] }).body
        else {
            panic!("another reply")
        };
        let codes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.code)).collect();
        assert_eq!(codes, [Err(ErrorCode::INVALID_REQUEST)], "{case:?}");
    }
    assert!(rig.controller.image().acls.is_empty());
}

#[test]
fn new_topics_and_new_partitions_use_every_rack_before_one_twice() {
    let mut rig = Rig::new(0);
    let racks = [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "b"), (6, "c")];
    for (id, rack) in racks {
        rig.run(Action::RegisterBroker(BrokerRegistration { rack: Some(rack.into()), ..broker(id) }));
    }
    for (name, id) in [("t", 11), ("u", 12), ("v", 13)] {
        assert_eq!(rig.create(NewTopic { partitions: 5, replication_factor: 3, ..topic(name, id) }), None);
        assert_eq!(grow(&mut rig, vec![more(name, 17, None)]), [None]);
    }
    let image = rig.controller.image();
    let rack_of = |node: &NodeId| racks.iter().find(|(id, _)| *id == node.0).expect("a broker").1;
    for topic in image.topics() {
        assert_eq!(topic.partitions.len(), 17);
        for partition in &topic.partitions {
            let used: BTreeSet<&str> = partition.replicas.iter().map(rack_of).collect();
            assert_eq!(used.len(), 3, "{:?}", partition.replicas);
        }
    }
    let mut leaders = BTreeMap::new();
    for partition in image.topics().flat_map(|topic| &topic.partitions) {
        *leaders.entry(partition.designated).or_insert(0) += 1;
    }
    assert!(leaders.values().all(|led| (8..=9).contains(led)), "leaders go round all brokers: {leaders:?}");
}
