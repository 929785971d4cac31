//! A member of a classic group.

use bytes::Bytes;
use chronik_wire::messages::group_records::GroupMetadataMember;

use crate::coordinator::Ticket;

/// A request of a member that is answered later; without a ticket its client has gone away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parked(pub(crate) Option<Ticket>);

/// A member of a classic group.
#[derive(Debug)]
pub(crate) struct ClassicMember {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// The protocols it offers with its metadata for each, the preferred one first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// Whether it has yet to see its first generation. Its client does not heartbeat until then.
    pub(crate) is_new: bool,
    /// Its JoinGroup, while it waits for the others.
    pub(crate) join: Option<Parked>,
    /// Its SyncGroup, while it waits for the leader.
    pub(crate) sync: Option<Parked>,
}

impl ClassicMember {
    /// The member that a record tells of. It offers the one protocol that was chosen.
    pub(crate) fn from_record(record: &GroupMetadataMember, protocol: String) -> ClassicMember {
        ClassicMember {
            instance_id: record.group_instance_id.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            rebalance_timeout_ms: record.rebalance_timeout,
            session_timeout_ms: record.session_timeout,
            protocols: vec![(protocol, record.subscription.clone())],
            assignment: record.assignment.clone(),
            is_new: false,
            join: None,
            sync: None,
        }
    }

    /// Whether it waits for an answer of ours, and need not heartbeat.
    pub(crate) fn waits(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }

    /// Whether it offers a protocol.
    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocol_names().any(|name| name == protocol)
    }

    /// The protocols it offers, the preferred one first.
    pub(crate) fn protocol_names(&self) -> impl Iterator<Item = &str> {
        self.protocols.iter().map(|(name, _)| name.as_str())
    }

    /// Its metadata for a protocol; empty if it does not offer it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let offered = self.protocols.iter().find(|(name, _)| name == protocol);
        offered.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}
