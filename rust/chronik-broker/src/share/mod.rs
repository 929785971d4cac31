//! Share groups (KIP-932) at work: several consumers read one partition, and every record goes to one of them at a time.
//!
//! The walk of a ShareFetch: [`sessions`] says which partitions the member shares; each is confirmed to be led here by the
//! read gate; its [`leader`], one task per group and partition, hands out records that [`log_read`] finds; there are none,
//! and the request waits for the log or for somebody to give records back. What members say of records goes to the same
//! task, which answers once [`account`] has it written down by the share coordinator, wherever that is. The rules of
//! delivery are in `chronik-coord`.
//!
//! A leader's task ends with its leadership, with its account, or with the last session of its group. What it had handed
//! out is then nobody's, and the next one begins with what is written down.

pub(crate) mod account;
pub(crate) mod acknowledging;
mod doors;
mod leader;
mod log_read;
pub(crate) mod partitions;
mod rules;
pub(crate) mod serve;
mod sessions;

pub(crate) use doors::{ShareDoor, ShareTable};
pub(crate) use leader::{Acquired, ShareAsk};
pub(crate) use sessions::{SessionPlan, SessionTies, ShareMember};
