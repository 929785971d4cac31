//! Replicated brains as pure machines. Now: the controller of the metadata group `__meta`.
//!
//! A brain takes commands that the group has agreed on, in log order, and turns each into a reply
//! and a new state. It owns no clock, no random source and no socket: ids, seeds and the view of
//! who is alive come *in* the command, so that every replica computes the same bytes.
//!
//! The walk: a handler proposes a [`Command`] as one record of the log of `__meta`; every replica
//! gives it to [`Controller::apply`]; the proposer finds its [`CommandReply`] under the
//! [`CommandId`]; everybody else reads the [`MetaImage`].
//!
//! The controller is one kind of brain; the coordinators of groups and transactions are another, see [`coordinator`].
//!
//! What must not happen here: reading time, drawing randomness, iterating an unordered map, or
//! deciding who leads a partition (that is its Raft group's own business).

mod apply;
mod assignment;
pub mod codec;
pub mod command;
pub mod config_catalogue;
mod controller;
pub mod coordinator;
pub mod groups;
mod image;
pub mod limits;
pub mod pattern;
mod placement;
mod quorum;
mod reply;
mod resolve;
pub mod share;
mod snapshot;
pub mod transactions;

pub use apply::topics::{INTERNAL_TOPICS, check_topic_name};
pub use assignment::{Assignment, Member};
pub use codec::CodecError;
pub use command::acls as acl_kinds;
pub use command::{
    Acl, AclFilter, Action, AlterConfigs, AlterQuotas, AlterReassignment, AlterReassignments,
    ArrivedPartition, BrokerRegistration, Change, Command, CommandId, ConfigChange, ConfigOp, ConfigResource,
    CreatePartitions, CreateTopics, DamagedReplica, DeleteTopics, DrainBroker, Endpoint, EntityKind,
    MorePartitions, NewTopic, OpKind, QuotaChange, QuotaEntity, QuotaValue, TopicDefaults, TopicRef,
};
pub use controller::Controller;
pub use image::{Broker, MetaImage, Topic};
pub use quorum::metadata_generation;
pub use reply::{CommandReply, CreatedTopic, DeletedTopic, ItemError, ReplyBody};
pub use resolve::{
    BrokerSettings, CleanupPolicy, ConfigSource, ConfigSynonym, ReadConsistency, ResolvedConfig,
    TimestampType, TopicConfig,
};
