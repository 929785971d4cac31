//! Timers that belong together: ticks, elections, beats. Named sets, checked as a whole.

use std::collections::BTreeMap;

/// Kafka's default of `log.retention.check.interval.ms`. Tests write records with old timestamps; they must not vanish
/// sooner than with Kafka.
const RETENTION_CHECK_MS: u64 = 300_000;

/// Timers of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Length of a Raft tick.
    pub tick_ms: u64,
    /// Shortest election timeout in ticks; the longest is twice that.
    pub election_ticks: usize,
    /// Ticks between heartbeats of an awake group.
    pub heartbeat_ticks: usize,
    /// Ticks of quiet after which a group stops ticking.
    pub hibernate_after_ticks: usize,
    /// Time between beats of a pair of nodes.
    pub beat_ms: u64,
    /// Silence after which a peer counts as gone.
    pub peer_timeout_ms: u64,
    /// Time between looks at what retention may drop.
    pub retention_check_ms: u64,
}

impl Profile {
    /// For clusters in a test process: a lost leader is replaced within half a second.
    pub const TEST: Profile = Profile {
        tick_ms: 10,
        election_ticks: 15,
        heartbeat_ticks: 3,
        hibernate_after_ticks: 45,
        beat_ms: 40,
        peer_timeout_ms: 160,
        retention_check_ms: RETENTION_CHECK_MS,
    };

    /// For nodes on machines of their own: a lost leader is replaced within two seconds.
    pub const SERVER: Profile = Profile {
        tick_ms: 50,
        election_ticks: 10,
        heartbeat_ticks: 2,
        hibernate_after_ticks: 30,
        beat_ms: 150,
        peer_timeout_ms: 600,
        retention_check_ms: RETENTION_CHECK_MS,
    };

    /// Lets configuration keys that are timers win. The catalogue has checked their values.
    pub(crate) fn with_config(mut self, config: &BTreeMap<String, String>) -> Profile {
        if let Some(interval_ms) =
            config.get("log.retention.check.interval.ms").and_then(|text| text.parse().ok())
        {
            self.retention_check_ms = interval_ms;
        }
        self
    }

    /// Checks the products, in milliseconds: timeouts given in ticks have become elections after 50 ms before.
    pub fn check(&self) -> Result<(), ProfileError> {
        let election_ms = self.tick_ms * self.election_ticks as u64;
        let heartbeat_ms = self.tick_ms * self.heartbeat_ticks as u64;
        if self.tick_ms == 0 || self.heartbeat_ticks == 0 || self.beat_ms == 0 || self.retention_check_ms == 0
        {
            return Err(ProfileError::Zero);
        }
        if !(100..=30_000).contains(&election_ms) {
            return Err(ProfileError::Election { election_ms });
        }
        if election_ms < 3 * heartbeat_ms {
            return Err(ProfileError::Heartbeat { election_ms, heartbeat_ms });
        }
        if self.peer_timeout_ms < 3 * self.beat_ms {
            return Err(ProfileError::Beat { peer_timeout_ms: self.peer_timeout_ms, beat_ms: self.beat_ms });
        }
        Ok(())
    }
}

/// Timers that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// An interval of nothing.
    #[error("a timer of 0 never rests; give every interval at least 1")]
    Zero,
    /// The election timeout is out of reason.
    #[error(
        "election timeout of {election_ms} ms (tick times election ticks) is not between 100 and 30000 ms"
    )]
    Election {
        /// Tick times election ticks.
        election_ms: u64,
    },
    /// Too few heartbeats in an election timeout.
    #[error("election timeout of {election_ms} ms leaves no room for three heartbeats of {heartbeat_ms} ms")]
    Heartbeat {
        /// Tick times election ticks.
        election_ms: u64,
        /// Tick times heartbeat ticks.
        heartbeat_ms: u64,
    },
    /// Too few beats in a peer timeout.
    #[error("peer timeout of {peer_timeout_ms} ms leaves no room for three beats of {beat_ms} ms")]
    Beat {
        /// Silence after which a peer is gone.
        peer_timeout_ms: u64,
        /// Time between beats.
        beat_ms: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_profiles_keep_their_promise() {
        for (profile, promise_ms) in [(Profile::TEST, 500), (Profile::SERVER, 2_000)] {
            assert_eq!(profile.check(), Ok(()));
            let election_ms = profile.tick_ms * profile.election_ticks as u64;
            assert!(2 * election_ms <= promise_ms, "an election alone may take {} ms", 2 * election_ms);
        }
    }

    #[test]
    fn ticks_taken_for_milliseconds_are_refused() {
        let hasty = Profile { tick_ms: 5, ..Profile::TEST };
        assert_eq!(hasty.check(), Err(ProfileError::Election { election_ms: 75 }));
        let deaf = Profile { heartbeat_ticks: 8, ..Profile::TEST };
        assert!(matches!(deaf.check(), Err(ProfileError::Heartbeat { .. })));
        let silent = Profile { beat_ms: 100, ..Profile::TEST };
        assert!(matches!(silent.check(), Err(ProfileError::Beat { .. })));
    }
}
