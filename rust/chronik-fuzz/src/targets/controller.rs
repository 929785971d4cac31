//! The controller of the metadata group: its commands, its replies and its snapshots, as bytes and as a machine.

use chronik_coord::{
    Action, AlterConfigs, BrokerRegistration, Change, Command, CommandId, CommandReply, ConfigChange,
    ConfigOp, ConfigResource, Controller, CreateTopics, DeleteTopics, Endpoint, NewTopic, OpKind,
    TopicDefaults, TopicRef,
};
use chronik_wire::types::{DirectoryId, NodeId, Offset, PartitionIndex, TopicId};

use crate::Verdict;
use crate::input::Input;

/// Records of one input, and so commands of one machine.
const COMMANDS_MAX: usize = 64;

/// `data` is a log of commands, each behind its length in 16 bits; bytes that are no command are skipped as every
/// replica skips them. Then the same bytes are read as a reply and as a snapshot.
pub fn run(data: &[u8]) -> Verdict {
    let mut controller = Controller::new();
    let mut input = Input::new(data);
    let mut accepted = false;
    for offset in 0..COMMANDS_MAX as i64 {
        if input.is_empty() {
            break;
        }
        let length = usize::from(input.u16());
        accepted |= apply(&mut controller, input.take(length), Offset(offset));
    }
    restores_to_itself(&controller);
    if let Ok(reply) = CommandReply::decode(data) {
        assert_eq!(reply.encode().as_deref(), Ok(data), "a reply has one encoding");
    }
    if let Ok(restored) = Controller::restore(data) {
        assert_eq!(restored.snapshot(), data, "a state has one encoding");
    }
    Verdict::accepted(accepted)
}

fn apply(controller: &mut Controller, bytes: &[u8], at: Offset) -> bool {
    let Ok(command) = Command::decode(bytes) else {
        let before = controller.image();
        assert!(controller.apply_bytes(bytes, at).is_err());
        assert_eq!(controller.image().topics().count(), before.topics().count());
        assert_eq!(controller.image().offset, at);
        return false;
    };
    assert_eq!(command.encode().as_deref(), Ok(bytes), "a command has one encoding");
    let known = controller.reply(command.id).cloned();
    let foreseen = controller.check(&command.action);
    let mut twin = controller.clone();
    let reply = controller.apply(&command, at);
    assert_eq!(twin.apply_bytes(bytes, at), Ok(reply.clone()), "two replicas differ");
    assert_eq!(&twin, controller, "two replicas differ");
    match known {
        Some(known) => assert_eq!(reply, known, "a command is applied once"),
        None => assert_eq!(reply.body, foreseen.body, "what is checked is what happens"),
    }
    let bytes = reply.encode().expect("a reply to a bounded command is bounded");
    assert_eq!(CommandReply::decode(&bytes), Ok(reply));
    true
}

/// Snapshots are compared byte by byte, and a restored replica must go on as the others do.
fn restores_to_itself(controller: &Controller) {
    let snapshot = controller.snapshot();
    let restored = Controller::restore(&snapshot).expect("an own snapshot restores");
    assert_eq!(&restored, controller);
    assert_eq!(restored.snapshot(), snapshot);
}

/// One command of every kind, alone and all in a row, and a snapshot.
pub fn seeds() -> Vec<Vec<u8>> {
    let commands: Vec<Vec<u8>> = actions().into_iter().enumerate().map(framed).collect();
    let mut seeds = vec![commands.concat()];
    let mut controller = Controller::new();
    for (at, action) in actions().into_iter().enumerate() {
        let reply = controller.apply(&command(at, action), Offset(at as i64));
        seeds.push(reply.encode().expect("the reply is small").to_vec());
    }
    seeds.push(controller.snapshot().to_vec());
    seeds.extend(commands);
    seeds
}

fn command(at: usize, action: Action) -> Command {
    Command { id: CommandId { node: NodeId(1), incarnation: 7, sequence: at as u64 }, action }
}

fn framed((at, action): (usize, Action)) -> Vec<u8> {
    let bytes = command(at, action).encode().expect("the command is small");
    [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()
}

fn actions() -> Vec<Action> {
    let broker = |id: i32| {
        let endpoint = Endpoint { host: "localhost".to_owned(), port: 9092 };
        Action::RegisterBroker(BrokerRegistration {
            id: NodeId(id),
            incarnation: 1,
            pinned: Some(endpoint.clone()),
            peer: Some(endpoint.clone()),
            endpoint,
            rack: Some("r".to_owned()),
            directory: DirectoryId(id as u128),
            votes: id != 2,
        })
    };
    let topic = |name: &str, assignments: Vec<(PartitionIndex, Vec<NodeId>)>| NewTopic {
        name: name.to_owned(),
        id: TopicId(name.len() as u128),
        partitions: if assignments.is_empty() { 2 } else { -1 },
        replication_factor: -1,
        assignments,
        configs: vec![("retention.ms".to_owned(), Some("5000".to_owned()))],
    };
    let manual = vec![(PartitionIndex(0), vec![NodeId(2), NodeId(1)])];
    let set =
        ConfigOp { name: "segment.bytes".to_owned(), kind: OpKind::Set, value: Some("1048576".to_owned()) };
    let append = ConfigOp {
        name: "cleanup.policy".to_owned(),
        kind: OpKind::Append,
        value: Some("compact".to_owned()),
    };
    let resource = |resource: ConfigResource, change: Change| ConfigChange { resource, change };
    vec![
        Action::SetClusterId { cluster_id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned() },
        broker(1),
        broker(2),
        broker(3),
        Action::CreateTopics(CreateTopics {
            topics: vec![topic("a", Vec::new()), topic("bb", manual)],
            live: vec![NodeId(1), NodeId(2)],
            defaults: TopicDefaults { partitions: 1, replication_factor: -1 },
        }),
        Action::AlterConfigs(AlterConfigs {
            resources: vec![
                resource(ConfigResource::Topic("a".to_owned()), Change::Incremental(vec![set, append])),
                resource(
                    ConfigResource::Broker(None),
                    Change::Replace(vec![("log.retention.ms".to_owned(), Some("9".to_owned()))]),
                ),
            ],
        }),
        Action::AllocateProducerIds { broker: NodeId(1) },
        Action::DeleteTopics(DeleteTopics {
            topics: vec![TopicRef::Name("a".to_owned()), TopicRef::Id(TopicId(2))],
        }),
        Action::UnregisterBroker { id: NodeId(3) },
    ]
}
