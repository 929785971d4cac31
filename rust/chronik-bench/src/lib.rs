//! Raw-protocol load generator for chronik and any other Kafka broker.
//!
//! The parts: [`client`] (one blocking connection), [`coordinators`] and [`member`] (groups), [`requests`] (frames encoded once), [`paced`] (closed and open loop
//! on one connection), [`pump`] (closed loop on many), [`latencies`], [`machine`] (CPU, marks, pinning), [`child`] and
//! [`serve`] (servers under test as processes of their own), [`scenarios`] (what is compared with what), [`report`].
//!
//! Rules: everything is compared with a limit or a peer of the same run, in interleaved rounds; a run on a busy machine
//! or with a generator at its own limit is marked; an error answer fails the run instead of counting as fast.

pub mod child;
pub mod client;
pub mod cluster;
pub mod coordinators;
pub mod drive;
pub mod error;
pub mod latencies;
pub mod machine;
pub mod member;
pub mod paced;
pub mod pump;
pub mod report;
pub mod requests;
pub mod scenarios;
pub mod serve;
pub mod topics;
