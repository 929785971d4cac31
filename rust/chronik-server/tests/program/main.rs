//! The program as its users run it: its answers to configurations, one node, three nodes, and processes that die.

mod cluster;
mod common;
mod configuration;
mod membership;
mod single;
