//! Members of groups, by the classic protocol and by the newer one (KIP-848): how they join, stay and leave, and how they
//! commit and read offsets. What a member is told about its partitions is written down: from then on nobody may commit in
//! an older generation.

use std::rc::Rc;

use chronik_history::{
    Call, CommitArgs, JoinArgs, JoinResult, OffsetFetchArgs, OffsetFetchResult, Operation, Status, Text,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::find_coordinator::{FindCoordinatorRequest, GROUP};
use chronik_wire::messages::heartbeat::HeartbeatRequest;
use chronik_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use chronik_wire::types::NodeId;

use super::group_requests::{Identity, assigned, commit, join, newer_heartbeat, offset_fetch, sync};
use super::{Client, Place};

const FIND_VERSION: i16 = 4;
const JOIN_VERSION: i16 = 9;
const SYNC_VERSION: i16 = 5;
const HEARTBEAT_VERSION: i16 = 4;
const LEAVE_VERSION: i16 = 5;
const NEWER_HEARTBEAT_VERSION: i16 = 1;
/// With names and with ids; the newer protocol needs the first of them at least.
const COMMIT_VERSIONS: &[i16] = &[9, 10];
const FETCH_OFFSETS_VERSIONS: &[i16] = &[8, 9, 10];
/// What a member of the newer protocol says when it leaves.
const LEAVES: i32 = -1;

/// How a member's look at its group came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tended {
    /// It reads the partitions that it read before.
    Stays,
    /// It reads others.
    Changed,
    /// It reads nothing for now.
    Lost,
}

/// A member, or somebody who would like to be one.
pub(super) struct Member {
    pub(super) client: Client,
    who: Identity,
    newer: bool,
    /// All that the group reads.
    places: Rc<[Place]>,
    coordinator: Option<NodeId>,
    is_in: bool,
    lives: u64,
    owned: Vec<Place>,
}

impl Member {
    pub(super) fn new(client: Client, group: &str, newer: bool, places: Rc<[Place]>) -> Member {
        let who = Identity { group: group.to_owned(), member_id: String::new(), generation: -1 };
        let mut member = Member {
            client,
            who,
            newer,
            places,
            coordinator: None,
            is_in: false,
            lives: 0,
            owned: Vec::new(),
        };
        member.forget();
        member
    }

    /// What it reads.
    pub(super) fn owned(&self) -> &[Place] {
        &self.owned
    }

    /// Who it is in its group.
    pub(super) fn identity(&self) -> &Identity {
        &self.who
    }

    /// It dies without a word, and begins again as somebody else.
    pub(super) fn forget(&mut self) {
        self.lives += 1;
        self.is_in = false;
        self.owned.clear();
        let own_id = if self.newer { format!("{}/{}", self.client.name, self.lives) } else { String::new() };
        self.who = Identity {
            group: std::mem::take(&mut self.who.group),
            member_id: own_id,
            generation: if self.newer { 0 } else { -1 },
        };
    }

    /// Joins, or shows that it lives and hears whether anything has changed.
    pub(super) async fn tend(&mut self) -> Tended {
        if self.newer {
            return self.beat_newer().await;
        }
        if self.is_in && self.beat().await {
            Tended::Stays
        } else if self.join().await {
            Tended::Changed
        } else {
            Tended::Lost
        }
    }

    /// The coordinator as this client knows it, or as a node says.
    pub(super) async fn coordinator(&mut self) -> NodeId {
        if let Some(node) = self.coordinator {
            return node;
        }
        let request = FindCoordinatorRequest {
            key_type: GROUP,
            coordinator_keys: vec![self.who.group.clone()],
            ..FindCoordinatorRequest::default()
        };
        let asked = self.client.some_node();
        let answer = self.client.ask(asked, false, FIND_VERSION, &request).await.ok().flatten();
        let found = answer
            .and_then(|answer| answer.coordinators.into_iter().next())
            .filter(|found| found.error_code.is_none());
        self.coordinator = found.map(|found| NodeId(found.node_id));
        self.coordinator.unwrap_or(asked)
    }

    /// Takes a refusal to heart: looks for the coordinator again, joins again, or begins as somebody else.
    pub(super) fn heed(&mut self, code: ErrorCode) {
        match code {
            ErrorCode::NETWORK_EXCEPTION
            | ErrorCode::NOT_COORDINATOR
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {
                if code == ErrorCode::NOT_COORDINATOR {
                    self.client.crowd.saw("coordinators_moved");
                }
                self.coordinator = None;
            }
            ErrorCode::REBALANCE_IN_PROGRESS if !self.newer => {
                self.client.crowd.saw("rebalances_heard");
                self.is_in = false;
                self.owned.clear();
            }
            ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::FENCED_MEMBER_EPOCH
            | ErrorCode::GROUP_ID_NOT_FOUND => self.forget(),
            _ => {}
        }
    }

    async fn beat(&mut self) -> bool {
        let request = HeartbeatRequest {
            group_id: self.who.group.clone(),
            generation_id: self.who.generation,
            member_id: self.who.member_id.clone(),
            ..HeartbeatRequest::default()
        };
        let node = self.coordinator().await;
        let answer = self.client.ask(node, false, HEARTBEAT_VERSION, &request).await.ok().flatten();
        let code = answer.map_or(ErrorCode::NETWORK_EXCEPTION, |answer| answer.error_code);
        self.heed(code);
        // Whoever has no answer reads on until its session is over.
        self.is_in && code != ErrorCode::REBALANCE_IN_PROGRESS
    }

    /// One attempt to join the next generation.
    async fn join(&mut self) -> bool {
        let node = self.coordinator().await;
        let request = join(&self.who, &self.places);
        let answer = self.client.ask(node, false, JOIN_VERSION, &request).await.ok().flatten();
        let Some(answer) = answer else {
            self.heed(ErrorCode::NETWORK_EXCEPTION);
            return false;
        };
        if answer.error_code == ErrorCode::MEMBER_ID_REQUIRED {
            self.who.member_id = answer.member_id;
            return false;
        }
        if answer.error_code.is_error() {
            self.heed(answer.error_code);
            return false;
        }
        self.who.member_id = answer.member_id;
        self.who.generation = answer.generation_id;
        let request = sync(&self.who, &answer.members, self.places.len());
        let answer = self.client.ask(node, false, SYNC_VERSION, &request).await.ok().flatten();
        let code = answer.as_ref().map_or(ErrorCode::NETWORK_EXCEPTION, |answer| answer.error_code);
        self.heed(code);
        let Some(answer) = answer.filter(|_| code.is_none()) else { return false };
        self.is_in = true;
        self.owned = assigned(&answer.assignment, &self.places);
        self.note_owned(node);
        true
    }

    /// A heartbeat of the newer protocol, which says everything.
    async fn beat_newer(&mut self) -> Tended {
        let node = self.coordinator().await;
        let request = newer_heartbeat(&self.who, &self.places, &self.owned);
        let answer = self.client.ask(node, false, NEWER_HEARTBEAT_VERSION, &request).await.ok().flatten();
        let code = answer.as_ref().map_or(ErrorCode::NETWORK_EXCEPTION, |answer| answer.error_code);
        self.heed(code);
        let Some(answer) = answer.filter(|_| code.is_none()) else {
            return if self.is_in { Tended::Stays } else { Tended::Lost };
        };
        self.is_in = true;
        let moved = self.who.generation != answer.member_epoch;
        self.who.generation = answer.member_epoch;
        let Some(assignment) = answer.assignment else {
            if moved {
                self.note_owned(node);
            }
            return Tended::Stays;
        };
        let is_own = |place: &&Place| {
            assignment
                .topic_partitions
                .iter()
                .any(|list| list.topic_id == place.id && list.partitions.contains(&place.partition))
        };
        self.owned = self.places.iter().filter(is_own).cloned().collect();
        self.note_owned(node);
        Tended::Changed
    }

    /// Writes down what the member was told.
    fn note_owned(&self, node: NodeId) {
        for place in &self.owned {
            let args = JoinArgs { group: Text::from(&*self.who.group), bound_ms: None };
            let pending = self.client.invoked(node, &place.key, Operation::Join(Call::new(args)));
            self.client.returned(&pending, 0, Status::Ok, |operation| {
                if let Operation::Join(call) = operation {
                    call.result = Some(JoinResult { generation: self.who.generation });
                }
            });
        }
    }

    /// Leaves in form.
    pub(super) async fn leave(&mut self) {
        let node = self.coordinator().await;
        // If nobody hears it the session ends the membership.
        if self.newer {
            let who = Identity { generation: LEAVES, ..self.who.clone() };
            let request = newer_heartbeat(&who, &self.places, &[]);
            let _ = self.client.ask(node, false, NEWER_HEARTBEAT_VERSION, &request).await;
        } else {
            let member = MemberIdentity { member_id: self.who.member_id.clone(), ..Default::default() };
            let request = LeaveGroupRequest {
                group_id: self.who.group.clone(),
                members: vec![member],
                ..LeaveGroupRequest::default()
            };
            let _ = self.client.ask(node, false, LEAVE_VERSION, &request).await;
        }
        self.forget();
    }

    /// Commits a position once and writes down what became of it.
    pub(super) async fn commit(&mut self, place: &Place, offset: i64) -> Result<(), ErrorCode> {
        let node = self.coordinator().await;
        let args = CommitArgs {
            group: Text::from(&*self.who.group),
            generation: self.who.generation,
            offset,
            bound_ms: None,
        };
        let pending = self.client.invoked(node, &place.key, Operation::Commit(Call::new(args)));
        let request = commit(&self.who, place, offset);
        let version = *self.client.pick(COMMIT_VERSIONS).unwrap_or(&9);
        let answer = self.client.ask(node, false, version, &request).await.ok().flatten();
        let code = answer
            .and_then(|answer| answer.topics.into_iter().next()?.partitions.into_iter().next())
            .map_or(ErrorCode::NETWORK_EXCEPTION, |partition| partition.error_code);
        self.client.returned(&pending, recorded(code), fate(code), |_| ());
        if is_fenced(code) {
            self.client.crowd.saw("commits_fenced");
        }
        self.heed(code);
        if code.is_none() { Ok(()) } else { Err(code) }
    }

    /// The group's position by the word of its coordinator, or by that of a node that carries the question there. `None` if
    /// there is no answer; -1 if nobody has committed one.
    pub(super) async fn committed(&mut self, place: &Place, require_stable: bool) -> Option<i64> {
        let anywhere = self.client.chance(400);
        let node = if anywhere { self.client.some_node() } else { self.coordinator().await };
        let code = self.client.committed(&self.who.group, place, (node, anywhere), require_stable).await;
        match code {
            Ok(offset) => Some(offset),
            Err(code) => {
                if code == ErrorCode::UNSTABLE_OFFSET_COMMIT {
                    self.client.crowd.saw("offsets_unstable");
                }
                self.heed(code);
                None
            }
        }
    }
}

impl Client {
    /// Asks a node once for a group's position, at its pinned address or not, and writes down what it says.
    pub(super) async fn committed(
        &self,
        group: &str,
        place: &Place,
        (node, pinned): (NodeId, bool),
        require_stable: bool,
    ) -> Result<i64, ErrorCode> {
        let args = OffsetFetchArgs { group: Text::from(group), bound_ms: None };
        let pending = self.invoked(node, &place.key, Operation::OffsetFetch(Call::new(args)));
        let request = offset_fetch(group, place, require_stable);
        let version = *self.pick(FETCH_OFFSETS_VERSIONS).unwrap_or(&8);
        let answer = self.ask(node, pinned, version, &request).await.ok().flatten();
        let group = answer.and_then(|answer| answer.groups.into_iter().next());
        let (code, offset) = match group {
            None => (ErrorCode::NETWORK_EXCEPTION, -1),
            Some(group) if group.error_code.is_error() => (group.error_code, -1),
            Some(group) => {
                let found =
                    group.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
                found.map_or((ErrorCode::NETWORK_EXCEPTION, -1), |found| {
                    (found.error_code, found.committed_offset)
                })
            }
        };
        let status = match code {
            ErrorCode::NONE => Status::Ok,
            ErrorCode::NETWORK_EXCEPTION => Status::Info,
            _ => Status::Fail,
        };
        self.returned(&pending, recorded(code), status, |operation| {
            if let (Operation::OffsetFetch(call), true) = (operation, code.is_none()) {
                call.result = Some(OffsetFetchResult { offset });
            }
        });
        if code.is_none() { Ok(offset) } else { Err(code) }
    }
}

/// Whether a commit was refused because its generation, or its member, is of the past.
pub(super) fn is_fenced(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ILLEGAL_GENERATION | ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::STALE_MEMBER_EPOCH
    )
}

/// The code of an answer as a history has it: none if there was no answer.
pub(super) fn recorded(code: ErrorCode) -> i16 {
    if code == ErrorCode::NETWORK_EXCEPTION { 0 } else { code.0 }
}

/// What an error code says about a commit. A coordinator that loses its office while the commit is under way says so, and
/// its successor may have it.
pub(super) fn fate(code: ErrorCode) -> Status {
    match code {
        ErrorCode::NONE => Status::Ok,
        ErrorCode::NETWORK_EXCEPTION
        | ErrorCode::REQUEST_TIMED_OUT
        | ErrorCode::NOT_COORDINATOR
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::UNKNOWN_SERVER_ERROR => Status::Info,
        _ => Status::Fail,
    }
}
