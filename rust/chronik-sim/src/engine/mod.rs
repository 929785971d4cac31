//! What runs a simulation and knows nothing of brokers: time, the agenda of what happens when, tasks, the trace.

mod agenda;
mod tasks;
mod trace;

pub(crate) use agenda::Agenda;
pub(crate) use tasks::{Owner, Tasks};
pub(crate) use trace::Trace;
