//! The group coordinator: consumer groups of both protocols, share groups, and committed offsets.
//!
//! The hard state, [`GroupsState`], is what a partition of `__consumer_offsets` says: offsets, classic groups at their
//! last settled generation, and groups of the newer protocol (KIP-848) and share groups (KIP-932) whole. The leader's machine, [`Groups`], adds what
//! no log has: sessions, members that wait for each other, a classic rebalance under way.
//!
//! The rooms: [`request`] and [`config`] are the doors; `record` knows Kafka's record layouts; `state` is the hard
//! state; `classic` and `consumer` are the two protocols, `migrate` the ways between them, `share` the groups that share
//! partitions; `offsets` commits, reads,
//! deletes and expires; `admin` lists, describes and deletes; `timers` and `context` serve them all.
//!
//! What must not happen here: asking a clock, drawing randomness, or knowing that there are other partitions.

mod admin;
mod classic;
pub mod config;
mod consumer;
mod consumer_protocol;
mod context;
pub mod limits;
mod machine;
mod migrate;
mod offsets;
mod partitions;
mod record;
pub mod request;
pub mod settings;
mod share;
mod state;
#[cfg(test)]
mod tests;
mod timers;

pub use crate::coordinator::partition_for;
pub use config::{ClassicConfig, ConsumerConfig, GroupsConfig, MigrationPolicy, ShareConfig};
pub use machine::Groups;
pub use request::{Caller, GroupCall, GroupReply, GroupRequest, ShareBeginning, ShareReport};
pub use settings::{Isolation, ShareSettings};
pub use state::GroupsState;
