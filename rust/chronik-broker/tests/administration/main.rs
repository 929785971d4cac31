//! Administration: what admin clients ask for, and whether it really happens, at whichever node they ask.

#[path = "../harness/mod.rs"]
mod harness;

mod acls;
mod configs;
mod elections;
mod features;
mod log_dirs;
mod partitions;
mod quorum;
mod quotas;
mod records;
