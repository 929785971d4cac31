//! One member of a classic group, on a connection of its own or on one that it shares.
//!
//! Requests are posted and their answers collected apart, so that one thread plays any number of members at a time.

use bytes::Bytes;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::join_group::JoinGroupRequestProtocol;
use chronik_wire::messages::sync_group::SyncGroupRequestAssignment;
use chronik_wire::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};

use crate::client::Client;
use crate::coordinators::refused;
use crate::error::BenchError;

/// Highest versions used: the last in the old encoding, and for leaving the last with one member.
const JOIN_VERSION_MAX: i16 = 5;
const SYNC_VERSION_MAX: i16 = 3;
const HEARTBEAT_VERSION_MAX: i16 = 3;
const LEAVE_VERSION_MAX: i16 = 2;
const SESSION_TIMEOUT_MS: i32 = 30_000;
const REBALANCE_TIMEOUT_MS: i32 = 30_000;
/// What members tell each other: nothing that a broker looks into.
const METADATA: &[u8] = b"topics";

/// A member.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its group.
    pub group: String,
    /// What the coordinator calls it; empty before that.
    pub id: String,
    /// The generation that it was in last.
    pub generation: i32,
}

impl Member {
    /// One that the group does not know yet.
    pub fn new(group: &str) -> Member {
        Member { group: group.into(), id: String::new(), generation: -1 }
    }

    /// Asks for a place in the next generation.
    pub fn post_join(&self, client: &mut Client) -> Result<(), BenchError> {
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: self.id.clone(),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: Bytes::from_static(METADATA),
            }],
            ..JoinGroupRequest::default()
        };
        client.post(client.version::<JoinGroupRequest>(JOIN_VERSION_MAX)?, &request)
    }

    /// Takes the answer. The coordinator gives a name to whom it does not know, and wants to be asked again: `None` then.
    pub fn collect_join(&mut self, client: &mut Client) -> Result<Option<JoinGroupResponse>, BenchError> {
        let version = client.version::<JoinGroupRequest>(JOIN_VERSION_MAX)?;
        let answer = client.collect::<JoinGroupRequest>(version)?;
        match answer.error_code {
            ErrorCode::NONE => {
                (self.id, self.generation) = (answer.member_id.clone(), answer.generation_id);
                Ok(Some(answer))
            }
            ErrorCode::MEMBER_ID_REQUIRED => {
                self.id = answer.member_id;
                Ok(None)
            }
            code => Err(refused("JoinGroup", code)),
        }
    }

    /// Asks for its part; a leader brings everybody's.
    pub fn post_sync(
        &self,
        client: &mut Client,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> Result<(), BenchError> {
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            assignments,
            ..SyncGroupRequest::default()
        };
        client.post(client.version::<SyncGroupRequest>(SYNC_VERSION_MAX)?, &request)
    }

    /// Takes its part.
    pub fn collect_sync(&self, client: &mut Client) -> Result<Bytes, BenchError> {
        let version = client.version::<SyncGroupRequest>(SYNC_VERSION_MAX)?;
        let answer = client.collect::<SyncGroupRequest>(version)?;
        match answer.error_code {
            ErrorCode::NONE => Ok(answer.assignment),
            code => Err(refused("SyncGroup", code)),
        }
    }

    /// Says that it lives.
    pub fn post_heartbeat(&self, client: &mut Client) -> Result<(), BenchError> {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..HeartbeatRequest::default()
        };
        client.post(client.version::<HeartbeatRequest>(HEARTBEAT_VERSION_MAX)?, &request)
    }

    /// Takes the answer: whether all is well, or the group wants everybody to join again.
    pub fn collect_heartbeat(&self, client: &mut Client) -> Result<bool, BenchError> {
        let version = client.version::<HeartbeatRequest>(HEARTBEAT_VERSION_MAX)?;
        match client.collect::<HeartbeatRequest>(version)?.error_code {
            ErrorCode::NONE => Ok(true),
            ErrorCode::REBALANCE_IN_PROGRESS => Ok(false),
            code => Err(refused("Heartbeat", code)),
        }
    }

    /// Leaves the group.
    pub fn leave(&self, client: &mut Client) -> Result<(), BenchError> {
        let request = LeaveGroupRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            ..LeaveGroupRequest::default()
        };
        let version = client.version::<LeaveGroupRequest>(LEAVE_VERSION_MAX)?;
        match client.call(version, &request)?.error_code {
            ErrorCode::NONE => Ok(()),
            code => Err(refused("LeaveGroup", code)),
        }
    }
}
