//! Share groups (KIP-932): who gets which record of a partition that several consumers share, and what became of it.
//!
//! Two brains. The leader of a partition has a [`SharePartition`] for every group that shares it: what is handed out to
//! whom, until when, and what is done. It is lost with its leader. The share coordinator keeps what must not be lost, in
//! the records of one partition of `__share_group_state`: hard state [`ShareStates`], the leader's machine
//! [`ShareCoordinator`]. A leader takes over by reading there, which fences the leaders before it; nothing is said to a
//! consumer to be acknowledged before it is written there.
//!
//! | file | what it holds |
//! |---|---|
//! | `delivery` | the fate of records as it is written down, and how two accounts become one |
//! | `partition` | one share-partition at its leader |
//! | `record`, `state` | its record; all of one coordinator's, as every replica has them |
//! | `machine`, `request` | the coordinator in office: epochs and what they fence |
//!
//! What must not happen here: reading a clock, drawing randomness, knowing a log or a socket.

pub mod delivery;
pub mod limits;
mod machine;
mod partition;
mod record;
mod request;
mod state;
#[cfg(test)]
mod tests;

pub use delivery::{DeliveryState, StateBatch};
pub use machine::{ShareConfig, ShareCoordinator};
pub use partition::{
    Accepted, AcknowledgeType, Acknowledgement, AcquireMode, AcquiredRange, DeliveryRules, ReadRange,
    SharePartition, StateWrite, Wanted,
};
pub use record::{read_batches, wire_batches};
pub use request::{ShareAccount, ShareAnswer, ShareCall, ShareKey, ShareReply, ShareRequest, ShareSummary};
pub use state::ShareStates;
