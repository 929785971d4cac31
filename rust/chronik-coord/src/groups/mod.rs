//! The group coordinator: consumer groups of both protocols, and committed offsets.
//!
//! The hard state, [`GroupsState`], is what a partition of `__consumer_offsets` says: offsets, classic groups at their
//! last settled generation, and groups of the newer protocol (KIP-848) whole. The leader's machine, [`Groups`], adds what
//! no log has: sessions, members that wait for each other, a classic rebalance under way.
//!
//! The rooms: [`request`] and [`config`] are the doors; `record` knows Kafka's record layouts; `state` is the hard
//! state; `classic` and `consumer` are the two protocols, `migrate` the ways between them; `offsets` commits, reads,
//! deletes and expires; `admin` lists, describes and deletes; `timers` and `context` serve them all.
//!
//! What must not happen here: asking a clock, drawing randomness, or knowing that there are other partitions.

pub mod config;
pub mod limits;
pub mod request;

pub use config::{ClassicConfig, ConsumerConfig, GroupsConfig, MigrationPolicy};
pub use request::{Caller, GroupCall, GroupReply, GroupRequest};

/// The partition of `__consumer_offsets`, out of `partitions`, that a group lives on: Java's hash of the group id, as
/// every Kafka client and tool expects. 0 if there are no partitions.
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash =
        group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX).checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lives_where_java_says() {
        // Java: "test".hashCode() == 3556498, "group".hashCode() == 98629247.
        assert_eq!(partition_for("test", 50), 48);
        assert_eq!(partition_for("group", 50), 47);
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("test", 0), 0);
        // "polygenelubricants".hashCode() is the smallest integer, whose absolute value Java cannot say either.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
    }
}
