//! Coordinators in office: how a machine of groups or transactions sits on a partition of an internal topic.
//!
//! Every replica of such a partition applies its records to the hard state ([`seat`]). On the node that leads it an
//! [`office`] runs the machine that answers: it takes requests through its door, appends what the machine wants, and
//! sends each reply once everything appended before it is committed. Whoever has a request finds the door, or the node
//! that has it, by [`route`].
//!
//! An office opens when its node's leadership is confirmed and the read gate passed, and closes when leadership is lost or
//! an append fails. What it had promised to nobody is lost with it; what was committed is in the log.

mod answer;
mod kinds;
mod markers;
mod office;
mod route;
mod seat;
mod topics;

pub(crate) use kinds::{Doors, Verified};
pub(crate) use route::NoCoordinator;
pub(crate) use seat::Seats;
pub(crate) use topics::{InternalTopic, may_be_produced_to};
