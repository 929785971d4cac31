//! Requests meet state: the Kafka APIs of one node, over its replicas and the cluster's metadata.
//!
//! The walk of a request: the edge hands a frame to [`Broker::handle`] (`dispatch`), which decodes it and runs the one
//! handler of its API (`handlers/`). A handler finds the partition in the metadata image (`topics`), runs steps inside
//! the partition's shard (`hosts`), and awaits only what a replica or the clock resolves. Nodes talk to each other
//! through `peer` messages: who is alive and who leads (`view`), commands for the controller (`controller`).
//!
//! Must not: open sockets, files or threads, read a clock, spawn on a runtime. All of that is lent by [`World`].

mod acl_admin;
mod arrivals;
mod authorized_operations;
mod broker;
mod cluster_picture;
mod config;
mod config_admin;
mod connection;
mod controller;
mod coordination;
mod counters;
mod dispatch;
mod errors;
mod features;
mod fetch_session;
mod forward;
mod founding;
mod handlers;
mod hosts;
mod interception;
mod leader_call;
mod leader_hint;
pub mod limits;
mod membership;
mod meta;
mod node_state;
mod parked;
mod partition_admin;
mod partition_fetch;
mod peer;
mod preferred_replica;
mod producer_ids;
mod quotas;
mod reconcile;
mod record_rules;
mod registration;
mod removal;
mod repairs;
mod share;
mod share_groups;
mod strays;
mod together;
mod topic_admin;
mod topic_configs;
mod topics;
mod transaction_markers;
mod transaction_verification;
mod transactional_produce;
mod view;
mod world;

pub use broker::Broker;
pub use chronik_coord as coord;
pub use config::BrokerConfig;
pub use connection::{CloseReason, Connection, RequestClass};
pub use controller::ControllerError;
pub use counters::BrokerCounters;
pub use hosts::{HostReply, HostTask, Hosts, ShardGone, ShardSender};
pub use interception::{Interception, InterceptionError, InterceptionRule, Interceptions};
pub use meta::MetaSeat;
pub use node_state::NodeState;
pub use peer::{NodeMessage, PeerDecodeError, PeerMessage};
pub use removal::RemovalError;
pub use topic_admin::{Created, Deleted};
pub use view::{BeatOutcome, ClusterView, Leadership};
pub use world::{LocalFuture, World};
