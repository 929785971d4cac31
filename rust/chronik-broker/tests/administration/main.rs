//! Administration: what admin clients ask for, and whether it really happens, at whichever node they ask.

#[path = "../harness/mod.rs"]
mod harness;

mod configs;
mod elections;
mod log_dirs;
mod partitions;
mod quorum;
mod quotas;
mod records;
