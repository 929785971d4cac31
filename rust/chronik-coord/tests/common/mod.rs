//! What the controller's tests share: a controller with brokers, and short ways to write commands.
#![allow(dead_code)]

use chronik_coord::{
    Action, BrokerRegistration, Command, CommandId, CommandReply, Controller, CreateTopics, Endpoint,
    ItemError, NewTopic, ReplyBody, TopicDefaults,
};
use chronik_wire::types::{DirectoryId, NodeId, Offset, TopicId};

/// A controller and the next offset of its log.
pub(crate) struct Rig {
    pub(crate) controller: Controller,
    pub(crate) next: i64,
}

impl Rig {
    /// With brokers 1 to `brokers`, each in a rack of its own.
    pub(crate) fn new(brokers: i32) -> Rig {
        let mut rig = Rig { controller: Controller::new(), next: 0 };
        for id in 1..=brokers {
            assert_eq!(rig.run(Action::RegisterBroker(broker(id))).body, ReplyBody::Done);
        }
        rig
    }

    pub(crate) fn run(&mut self, action: Action) -> CommandReply {
        let command = Command { id: id(self.next as u64), action };
        let reply = self.controller.apply(&command, Offset(self.next));
        self.next += 1;
        reply
    }

    /// Creates one topic and gives its outcome's error, if any.
    pub(crate) fn create(&mut self, topic: NewTopic) -> Option<ItemError> {
        match self.run(create(vec![topic])).body {
            ReplyBody::TopicsCreated(mut outcomes) => outcomes.pop().expect("one outcome").1.err(),
            other => panic!("not a creation: {other:?}"),
        }
    }
}

pub(crate) fn id(sequence: u64) -> CommandId {
    CommandId { node: NodeId(1), incarnation: 7, sequence }
}

pub(crate) fn broker(id: i32) -> BrokerRegistration {
    BrokerRegistration {
        id: NodeId(id),
        incarnation: 100 + id as u64,
        endpoint: Endpoint { host: "localhost".into(), port: 9_091 + id as u16 },
        pinned: Some(Endpoint { host: "localhost".into(), port: 19_091 + id as u16 }),
        peer: Some(Endpoint { host: "localhost".into(), port: 5_000 + id as u16 }),
        rack: Some(format!("rack-{id}")),
        directory: DirectoryId(1_000 + id as u128),
        votes: true,
    }
}

pub(crate) fn topic(name: &str, id: u128) -> NewTopic {
    NewTopic {
        name: name.into(),
        id: TopicId(id),
        partitions: -1,
        replication_factor: -1,
        assignments: vec![],
        configs: vec![],
    }
}

pub(crate) fn create(topics: Vec<NewTopic>) -> Action {
    Action::CreateTopics(CreateTopics {
        topics,
        live: vec![],
        defaults: TopicDefaults { partitions: 1, replication_factor: -1 },
    })
}
