//! Replicas that belong here and could not be opened: their partitions are refused as stopped, not as unknown.
//!
//! "Not here" would send a client on in a circle and hide the damage. Owns no file; whether to try again is the
//! broker's decision.

use std::collections::BTreeMap;

use chronik_wire::types::PartitionKey;

use crate::error::ReplicaError;

#[derive(Debug)]
struct Failure {
    dir: String,
    reason: String,
}

/// What could not be opened, and why.
#[derive(Debug, Default)]
pub(super) struct Unopened {
    failures: BTreeMap<PartitionKey, Failure>,
}

impl Unopened {
    pub(super) fn note(&mut self, key: PartitionKey, dir: String, error: &ReplicaError) {
        self.failures.insert(key, Failure { dir, reason: error.to_string() });
    }

    /// Forgets a replica, because it is there now or belongs here no more. Its directory, if it was known.
    pub(super) fn forget(&mut self, key: PartitionKey) -> Option<String> {
        self.failures.remove(&key).map(|failure| failure.dir)
    }

    pub(super) fn contains(&self, key: PartitionKey) -> bool {
        self.failures.contains_key(&key)
    }

    pub(super) fn uses(&self, dir: &str) -> bool {
        self.failures.values().any(|failure| failure.dir == dir)
    }

    /// What a call about a replica that is not there is told.
    pub(super) fn error(&self, key: PartitionKey) -> ReplicaError {
        match self.failures.get(&key) {
            Some(failure) => ReplicaError::Stopped { key, reason: failure.reason.clone() },
            None => ReplicaError::NotHosted(key),
        }
    }
}
