//! The ways between nodes: links with their faults, queues inside the process, connections between processes.

pub(crate) mod backlog;
pub(crate) mod delayed;
pub(crate) mod links;
pub(crate) mod tcp;
