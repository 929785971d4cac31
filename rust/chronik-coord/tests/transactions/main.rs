//! The coordinator of transactions from outside: codes, time, failovers, and a model with zombies.

mod codes;
mod ends;
mod epochs;
mod failover;
mod harness;
mod limits;
mod model;
mod queries;
mod time;
