//! What the metadata group agrees on: commands, and their versioned binary form.
//!
//! Role: plain data. Everything that is not a function of the log, be it an id, a view of who is
//! alive or a default from a node's own configuration, is a field here, filled in by the proposer.

use bytes::Bytes;
use chronik_wire::types::{DirectoryId, NodeId, PartitionIndex, TopicId};

use crate::codec::{self, CodecError, Coded, Reader, coded_struct};
use crate::limits;

pub mod acls;
mod partitions;
mod quotas;
mod reassignment;

pub use acls::{Acl, AclFilter};
pub use partitions::{CreatePartitions, MorePartitions};
pub use quotas::{AlterQuotas, EntityKind, QuotaChange, QuotaEntity, QuotaValue};
pub use reassignment::{
    AlterReassignment, AlterReassignments, ArrivedPartition, DamagedReplica, DrainBroker,
};

/// The version byte in front of every command.
const COMMAND_VERSION: u8 = 3;

/// Names one command for ever. A proposer that does not know the fate of a command sends it again
/// under the same id and gets the first reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId {
    /// The proposing node.
    pub node: NodeId,
    /// Drawn at that node's process start.
    pub incarnation: u64,
    /// Counts that process' commands.
    pub sequence: u64,
}
coded_struct!(CommandId { node: NodeId, incarnation: u64, sequence: u64 });

/// One record of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its identity.
    pub id: CommandId,
    /// What to do.
    pub action: Action,
}
coded_struct!(Command { id: CommandId, action: Action });

impl Command {
    /// The binary form, a version byte first.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`limits::COMMAND_BYTES_MAX`].
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        codec::encode_versioned(self, COMMAND_VERSION, "command", limits::COMMAND_BYTES_MAX)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Any [`CodecError`], for any bytes; nothing is allocated beyond a small multiple of the input.
    pub fn decode(bytes: &[u8]) -> Result<Command, CodecError> {
        codec::decode_versioned(bytes, COMMAND_VERSION, "command", limits::COMMAND_BYTES_MAX)
    }
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Names the cluster. The first one wins; the reply carries the id in force.
    SetClusterId {
        /// A uuid in base64 without padding, 22 characters.
        cluster_id: String,
    },
    /// Adds a broker or replaces its registration.
    RegisterBroker(BrokerRegistration),
    /// Removes a broker that holds no replica.
    UnregisterBroker {
        /// The broker.
        id: NodeId,
    },
    /// Creates topics, each on its own: some may fail.
    CreateTopics(CreateTopics),
    /// Deletes topics, each on its own.
    DeleteTopics(DeleteTopics),
    /// Changes configurations, each resource on its own, all or nothing within one.
    AlterConfigs(AlterConfigs),
    /// Reserves a block of [`limits::PRODUCER_ID_BLOCK`] producer ids.
    AllocateProducerIds {
        /// The broker that will hand them out.
        broker: NodeId,
    },
    /// Begins, replaces or cancels reassignments of partitions, each on its own.
    AlterReassignments(AlterReassignments),
    /// Reports partitions whose Raft groups consist of the wanted members.
    CompleteReassignments {
        /// The partitions.
        arrived: Vec<ArrivedPartition>,
    },
    /// Begins to move all replicas away from a broker.
    DrainBroker(DrainBroker),
    /// Admits the disk that a broker is registered with now in place of its former one: its replicas get their votes
    /// back as new members.
    ReadmitBroker {
        /// The broker.
        id: NodeId,
    },
    /// Names a new member in place of replicas whose data is damaged, on the same disk.
    ReplaceReplicas {
        /// The broker that has them.
        broker: NodeId,
        /// The replicas.
        replicas: Vec<DamagedReplica>,
    },
    /// Lets topics grow, each on its own.
    CreatePartitions(CreatePartitions),
    /// Changes quotas of clients, each entity on its own, all or nothing within one.
    AlterQuotas(AlterQuotas),
    /// Adds access control entries, each on its own.
    CreateAcls {
        /// The entries.
        acls: Vec<Acl>,
    },
    /// Removes access control entries.
    DeleteAcls {
        /// Which ones.
        filters: Vec<AclFilter>,
    },
}

impl Coded for Action {
    const BYTES_MIN: usize = 5;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Action::SetClusterId { cluster_id } => {
                out.push(0);
                cluster_id.put(out);
            }
            Action::RegisterBroker(registration) => {
                out.push(1);
                registration.put(out);
            }
            Action::UnregisterBroker { id } => {
                out.push(2);
                id.put(out);
            }
            Action::CreateTopics(create) => {
                out.push(3);
                create.put(out);
            }
            Action::DeleteTopics(delete) => {
                out.push(4);
                delete.put(out);
            }
            Action::AlterConfigs(alter) => {
                out.push(5);
                alter.put(out);
            }
            Action::AllocateProducerIds { broker } => {
                out.push(6);
                broker.put(out);
            }
            Action::AlterReassignments(alter) => {
                out.push(7);
                alter.put(out);
            }
            Action::CompleteReassignments { arrived } => {
                out.push(8);
                arrived.put(out);
            }
            Action::DrainBroker(drain) => {
                out.push(9);
                drain.put(out);
            }
            Action::ReadmitBroker { id } => {
                out.push(10);
                id.put(out);
            }
            Action::CreatePartitions(create) => {
                out.push(11);
                create.put(out);
            }
            Action::AlterQuotas(alter) => {
                out.push(12);
                alter.put(out);
            }
            Action::CreateAcls { acls } => {
                out.push(13);
                acls.put(out);
            }
            Action::DeleteAcls { filters } => {
                out.push(14);
                filters.put(out);
            }
            Action::ReplaceReplicas { broker, replicas } => {
                out.push(15);
                broker.put(out);
                replicas.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::get(from)? {
            0 => Action::SetClusterId { cluster_id: Coded::get(from)? },
            1 => Action::RegisterBroker(Coded::get(from)?),
            2 => Action::UnregisterBroker { id: Coded::get(from)? },
            3 => Action::CreateTopics(Coded::get(from)?),
            4 => Action::DeleteTopics(Coded::get(from)?),
            5 => Action::AlterConfigs(Coded::get(from)?),
            6 => Action::AllocateProducerIds { broker: Coded::get(from)? },
            7 => Action::AlterReassignments(Coded::get(from)?),
            8 => Action::CompleteReassignments { arrived: Coded::get(from)? },
            9 => Action::DrainBroker(Coded::get(from)?),
            10 => Action::ReadmitBroker { id: Coded::get(from)? },
            11 => Action::CreatePartitions(Coded::get(from)?),
            12 => Action::AlterQuotas(Coded::get(from)?),
            13 => Action::CreateAcls { acls: Coded::get(from)? },
            14 => Action::DeleteAcls { filters: Coded::get(from)? },
            15 => Action::ReplaceReplicas { broker: Coded::get(from)?, replicas: Coded::get(from)? },
            value => return Err(CodecError::Unknown { what: "action", value: value.into() }),
        })
    }
}

/// An address that others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port, never 0.
    pub port: u16,
}
coded_struct!(Endpoint { host: String, port: u16 });

/// A broker as it announces itself at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Its id.
    pub id: NodeId,
    /// Drawn at its process start: tells one life from the next.
    pub incarnation: u64,
    /// The advertised address.
    pub endpoint: Endpoint,
    /// The second address, through which a client sees this broker alone.
    pub pinned: Option<Endpoint>,
    /// Where other nodes call it; `None` for one whose peers reach it without an address.
    pub peer: Option<Endpoint>,
    /// Its rack.
    pub rack: Option<String>,
    /// The disk it runs on.
    pub directory: DirectoryId,
    /// Whether the cluster was founded with that disk. On any other the broker follows without a vote, so that nothing
    /// new should be led there.
    pub votes: bool,
}
coded_struct!(BrokerRegistration {
    id: NodeId,
    incarnation: u64,
    endpoint: Endpoint,
    pinned: Option<Endpoint>,
    peer: Option<Endpoint>,
    rack: Option<String>,
    directory: DirectoryId,
    votes: bool,
});

/// Topics to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// Brokers that the proposer sees alive. Leaders are placed there, and followers as far as they
    /// suffice. Empty: all registered brokers count as alive.
    pub live: Vec<NodeId>,
    /// What -1 means.
    pub defaults: TopicDefaults,
}
coded_struct!(CreateTopics { topics: Vec<NewTopic>, live: Vec<NodeId>, defaults: TopicDefaults });

/// The proposer's configured defaults for new topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicDefaults {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`; -1 for min(3, registered brokers).
    pub replication_factor: i16,
}
coded_struct!(TopicDefaults { partitions: i32, replication_factor: i16 });

/// One topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Its id, random, drawn by the proposer. Never used twice.
    pub id: TopicId,
    /// Number of partitions; -1 for the default, or with a manual assignment.
    pub partitions: i32,
    /// Replicas per partition; -1 for the default, or with a manual assignment.
    pub replication_factor: i16,
    /// The manual assignment: the first replica of each is the designated leader. Empty: automatic.
    pub assignments: Vec<(PartitionIndex, Vec<NodeId>)>,
    /// Configuration overrides. A `None` value asks for the default, as Kafka does.
    pub configs: Vec<(String, Option<String>)>,
}
coded_struct!(NewTopic {
    name: String,
    id: TopicId,
    partitions: i32,
    replication_factor: i16,
    assignments: Vec<(PartitionIndex, Vec<NodeId>)>,
    configs: Vec<(String, Option<String>)>,
});

/// Topics to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTopics {
    /// The topics.
    pub topics: Vec<TopicRef>,
}
coded_struct!(DeleteTopics { topics: Vec<TopicRef> });

/// A topic by name or by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

impl Coded for TopicRef {
    const BYTES_MIN: usize = 5;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            TopicRef::Name(name) => {
                out.push(0);
                name.put(out);
            }
            TopicRef::Id(id) => {
                out.push(1);
                id.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::get(from)? {
            0 => TopicRef::Name(Coded::get(from)?),
            1 => TopicRef::Id(Coded::get(from)?),
            value => return Err(CodecError::Unknown { what: "topic reference", value: value.into() }),
        })
    }
}

/// Configurations to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterConfigs {
    /// One change per resource.
    pub resources: Vec<ConfigChange>,
}
coded_struct!(AlterConfigs { resources: Vec<ConfigChange> });

/// The change of one resource's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// Whose.
    pub resource: ConfigResource,
    /// How.
    pub change: Change,
}
coded_struct!(ConfigChange { resource: ConfigResource, change: Change });

/// Something with a configuration of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// One broker, or with `None` the default of all of them.
    Broker(Option<NodeId>),
    /// A group, by name; it need not exist.
    Group(String),
}

impl Coded for ConfigResource {
    const BYTES_MIN: usize = 2;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            ConfigResource::Topic(name) => {
                out.push(0);
                name.put(out);
            }
            ConfigResource::Broker(node) => {
                out.push(1);
                node.put(out);
            }
            ConfigResource::Group(name) => {
                out.push(2);
                name.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::get(from)? {
            0 => ConfigResource::Topic(Coded::get(from)?),
            1 => ConfigResource::Broker(Coded::get(from)?),
            2 => ConfigResource::Group(Coded::get(from)?),
            value => return Err(CodecError::Unknown { what: "configuration resource", value: value.into() }),
        })
    }
}

/// How a configuration changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These are all the overrides from now on (AlterConfigs).
    Replace(Vec<(String, Option<String>)>),
    /// These operations one by one (IncrementalAlterConfigs).
    Incremental(Vec<ConfigOp>),
}

impl Coded for Change {
    const BYTES_MIN: usize = 5;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Change::Replace(configs) => {
                out.push(0);
                configs.put(out);
            }
            Change::Incremental(ops) => {
                out.push(1);
                ops.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::get(from)? {
            0 => Change::Replace(Coded::get(from)?),
            1 => Change::Incremental(Coded::get(from)?),
            value => return Err(CodecError::Unknown { what: "configuration change", value: value.into() }),
        })
    }
}

/// One step of an incremental change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOp {
    /// The configuration's name.
    pub name: String,
    /// What to do with it.
    pub kind: OpKind,
    /// The operand; `None` with [`OpKind::Delete`].
    pub value: Option<String>,
}
coded_struct!(ConfigOp { name: String, kind: OpKind, value: Option<String> });

/// The operations of IncrementalAlterConfigs, with Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpKind {
    /// Overrides the value.
    Set = 0,
    /// Removes the override.
    Delete = 1,
    /// Adds elements to a list.
    Append = 2,
    /// Takes elements from a list.
    Subtract = 3,
}

impl TryFrom<i8> for OpKind {
    type Error = i8;

    /// From Kafka's number; gives an unknown one back.
    fn try_from(number: i8) -> Result<Self, i8> {
        Ok(match number {
            0 => OpKind::Set,
            1 => OpKind::Delete,
            2 => OpKind::Append,
            3 => OpKind::Subtract,
            other => return Err(other),
        })
    }
}

impl Coded for OpKind {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let number = u8::get(from)?;
        i8::try_from(number)
            .ok()
            .and_then(|number| OpKind::try_from(number).ok())
            .ok_or(CodecError::Unknown { what: "configuration operation", value: number.into() })
    }
}
