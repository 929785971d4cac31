//! Share sessions: which partitions a member shares at this node, so that it need not name them each time.
//!
//! A session belongs to the connection that opened it and ends with it, since a member that is gone must not keep what it
//! has until its time is over. A member that opens another one goes on there with what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::share_fetch::ShareFetchRequest;
use chronik_wire::types::TopicId;

use crate::limits;
use crate::node_state::NodeState;

const EPOCH_OPEN: i32 = 0;
const EPOCH_CLOSE: i32 = -1;

/// A partition as a session names it.
pub(crate) type SharedPartition = (TopicId, i32);

/// What one request is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionPlan {
    /// The partitions to fetch from, another one first each time.
    pub(crate) partitions: Vec<SharedPartition>,
    /// The session ends with this request.
    pub(crate) closes: bool,
    /// The number of a session that begins with it.
    pub(crate) opened: Option<u64>,
}

#[derive(Debug)]
struct Session {
    /// Never used twice on this node.
    number: u64,
    /// The epoch of the next request.
    epoch: i32,
    partitions: BTreeSet<SharedPartition>,
}

/// The sessions of one node.
#[derive(Debug, Default)]
pub(super) struct ShareSessions {
    sessions: BTreeMap<(Arc<str>, Arc<str>), Session>,
    last_number: u64,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareMember {
    pub(crate) group: Arc<str>,
    pub(crate) member: Arc<str>,
}

impl ShareMember {
    /// The member that a request names.
    ///
    /// # Errors
    /// 42: it names none, or by an impossible name.
    pub(crate) fn named(group: Option<&String>, member: Option<&String>) -> Result<ShareMember, ErrorCode> {
        let (Some(group), Some(member)) = (group, member) else { return Err(ErrorCode::INVALID_REQUEST) };
        let sound = !group.is_empty()
            && group.len() <= chronik_coord::share::limits::GROUP_BYTES_MAX
            && !member.is_empty()
            && member.len() <= limits::SHARE_MEMBER_BYTES_MAX;
        if !sound {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(ShareMember { group: Arc::from(group.as_str()), member: Arc::from(member.as_str()) })
    }
}

impl ShareSessions {
    /// What a ShareFetch is to do in its session.
    ///
    /// # Errors
    /// 122: there is no such session. 123: another request was expected next. 42: a request that opens a session speaks of
    /// records. 133: there are as many sessions as there may be.
    pub(super) fn fetch(
        &mut self,
        who: &ShareMember,
        request: &ShareFetchRequest,
        sessions_max: usize,
    ) -> Result<SessionPlan, ErrorCode> {
        let key = (who.group.clone(), who.member.clone());
        let named = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| (topic.topic_id, partition.partition_index))
        });
        if request.share_session_epoch == EPOCH_OPEN {
            let speaks = |topic: &chronik_wire::messages::share_fetch::FetchTopic| {
                topic.partitions.iter().any(|partition| !partition.acknowledgement_batches.is_empty())
            };
            if request.topics.iter().any(speaks) {
                return Err(ErrorCode::INVALID_REQUEST);
            }
            self.sessions.remove(&key);
            if self.sessions.len() >= sessions_max {
                return Err(ErrorCode::SHARE_SESSION_LIMIT_REACHED);
            }
            self.last_number += 1;
            let number = self.last_number;
            let session = Session { number, epoch: 1, partitions: named.collect() };
            let plan = SessionPlan { opened: Some(number), ..session.plan(EPOCH_OPEN)? };
            self.sessions.insert(key, session);
            return Ok(plan);
        }
        let session = self.expected(&key, request.share_session_epoch)?;
        if request.share_session_epoch == EPOCH_CLOSE {
            return Ok(SessionPlan { partitions: Vec::new(), closes: true, opened: None });
        }
        session.partitions.extend(named);
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                session.partitions.remove(&(topic.topic_id, *partition));
            }
        }
        session.plan(request.share_session_epoch)
    }

    /// What a ShareAcknowledge is to do in its session.
    ///
    /// # Errors
    /// 122, 123: as for a fetch; also when it wants to open a session.
    pub(super) fn acknowledge(&mut self, who: &ShareMember, epoch: i32) -> Result<SessionPlan, ErrorCode> {
        if epoch == EPOCH_OPEN {
            return Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH);
        }
        self.expected(&(who.group.clone(), who.member.clone()), epoch)?;
        Ok(SessionPlan { partitions: Vec::new(), closes: epoch == EPOCH_CLOSE, opened: None })
    }

    /// The session whose next request has that epoch, or which it closes.
    fn expected(&mut self, key: &(Arc<str>, Arc<str>), epoch: i32) -> Result<&mut Session, ErrorCode> {
        let session = self.sessions.get_mut(key).ok_or(ErrorCode::SHARE_SESSION_NOT_FOUND)?;
        if epoch == EPOCH_CLOSE {
            return Ok(session);
        }
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH);
        }
        session.epoch = session.epoch.checked_add(1).unwrap_or(1);
        Ok(session)
    }

    /// Ends a session, or only that of a number. Says whether it was the last of its group; `None` if there is none.
    pub(super) fn close(&mut self, who: &ShareMember, number: Option<u64>) -> Option<bool> {
        let key = (who.group.clone(), who.member.clone());
        let session = self.sessions.get(&key)?;
        if number.is_some_and(|number| number != session.number) {
            return None;
        }
        self.sessions.remove(&key);
        let first = (who.group.clone(), Arc::from(""));
        let next = self.sessions.range(first..).next();
        Some(next.is_none_or(|((group, _), _)| *group != who.group))
    }
}

impl Session {
    fn plan(&self, epoch: i32) -> Result<SessionPlan, ErrorCode> {
        if self.partitions.len() > limits::SHARE_SESSION_PARTITIONS_MAX {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let mut partitions: Vec<SharedPartition> = self.partitions.iter().copied().collect();
        if let Some(first) = usize::try_from(epoch).ok().and_then(|epoch| epoch.checked_rem(partitions.len()))
        {
            partitions.rotate_left(first);
        }
        Ok(SessionPlan { partitions, closes: false, opened: None })
    }
}

impl NodeState {
    /// What a ShareFetch is to do in its session.
    ///
    /// # Errors
    /// What is wrong with the session, for the whole request.
    pub(crate) fn begin_share_fetch(
        &self,
        who: &ShareMember,
        request: &ShareFetchRequest,
    ) -> Result<SessionPlan, ErrorCode> {
        let name = "group.share.max.share.sessions";
        let resolved = self.image().broker_config(name, self.config.node, &self.config.broker_config);
        let set = resolved.and_then(|resolved| resolved.value?.trim().parse().ok());
        let sessions_max = set.unwrap_or(limits::SHARE_SESSIONS_MAX).min(limits::SHARE_SESSIONS_MAX);
        self.share.sessions(|sessions| sessions.fetch(who, request, sessions_max))
    }

    /// What a ShareAcknowledge is to do in its session.
    ///
    /// # Errors
    /// What is wrong with the session, for the whole request.
    pub(crate) fn begin_share_acknowledge(
        &self,
        who: &ShareMember,
        epoch: i32,
    ) -> Result<SessionPlan, ErrorCode> {
        self.share.sessions(|sessions| sessions.acknowledge(who, epoch))
    }

    /// Ends a member's session: what it has may be had by others.
    pub(crate) fn close_share_session(&self, who: &ShareMember, number: Option<u64>) {
        if let Some(was_last) = self.share.sessions(|sessions| sessions.close(who, number)) {
            self.share.release(&who.group, &who.member, was_last);
        }
    }
}

/// The sessions that a connection has opened; they end with it.
#[derive(Default)]
pub(crate) struct SessionTies(Mutex<Vec<Tie>>);

struct Tie {
    node: Weak<NodeState>,
    who: ShareMember,
    number: u64,
}

impl SessionTies {
    /// Ties a session to the connection. A member has one session at a time.
    pub(crate) fn tie(&self, node: &Arc<NodeState>, who: &ShareMember, number: u64) {
        let mut ties = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ties.retain(|tie| tie.who != *who);
        if ties.len() >= limits::SHARE_SESSIONS_PER_CONNECTION_MAX {
            ties.remove(0).cut();
        }
        ties.push(Tie { node: Arc::downgrade(node), who: who.clone(), number });
    }
}

impl Tie {
    fn cut(self) {
        if let Some(node) = self.node.upgrade() {
            node.close_share_session(&self.who, Some(self.number));
        }
    }
}

impl Drop for SessionTies {
    fn drop(&mut self) {
        let ties = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(ties).into_iter().for_each(Tie::cut);
    }
}

impl std::fmt::Debug for SessionTies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionTies")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::messages::share_fetch::{
        AcknowledgementBatch, FetchPartition, FetchTopic, ForgottenTopic,
    };

    fn who(member: &str) -> ShareMember {
        ShareMember { group: Arc::from("g"), member: Arc::from(member) }
    }

    fn request(epoch: i32, partitions: &[i32]) -> ShareFetchRequest {
        let partition = |index: &i32| FetchPartition { partition_index: *index, ..Default::default() };
        let partitions = partitions.iter().map(partition).collect();
        let topics = vec![FetchTopic { topic_id: TopicId(7), partitions }];
        ShareFetchRequest { share_session_epoch: epoch, topics, ..Default::default() }
    }

    fn indexes(plan: &SessionPlan) -> Vec<i32> {
        plan.partitions.iter().map(|(_, index)| *index).collect()
    }

    #[test]
    fn a_session_remembers_its_partitions_and_begins_with_another_each_time() {
        let mut sessions = ShareSessions::default();
        let plan = sessions.fetch(&who("a"), &request(0, &[0, 1, 2]), 10).expect("opens");
        assert_eq!((indexes(&plan), plan.opened), (vec![0, 1, 2], Some(1)));
        let plan = sessions.fetch(&who("a"), &request(1, &[]), 10).expect("the next");
        assert_eq!((indexes(&plan), plan.opened), (vec![1, 2, 0], None));
        let forgotten = ForgottenTopic { topic_id: TopicId(7), partitions: vec![0] };
        let next = ShareFetchRequest { forgotten_topics_data: vec![forgotten], ..request(2, &[3]) };
        assert_eq!(indexes(&sessions.fetch(&who("a"), &next, 10).expect("the next")), [3, 1, 2]);
        sessions.acknowledge(&who("a"), 3).expect("the next");
        assert!(sessions.fetch(&who("a"), &request(-1, &[]), 10).expect("closes").closes);
    }

    #[test]
    fn epochs_that_do_not_fit_are_refused() {
        let mut sessions = ShareSessions::default();
        let absent = Err(ErrorCode::SHARE_SESSION_NOT_FOUND);
        assert_eq!(sessions.fetch(&who("a"), &request(1, &[]), 10), absent);
        assert_eq!(sessions.fetch(&who("a"), &request(-1, &[]), 10), absent);
        assert_eq!(sessions.acknowledge(&who("a"), 1), absent);
        sessions.fetch(&who("a"), &request(0, &[0]), 10).expect("opens");
        let wrong = Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH);
        assert_eq!(sessions.fetch(&who("a"), &request(2, &[]), 10), wrong);
        assert_eq!(sessions.acknowledge(&who("a"), 0), wrong);
        let mut speaking = request(0, &[0]);
        speaking.topics[0].partitions[0].acknowledgement_batches.push(AcknowledgementBatch::default());
        assert_eq!(sessions.fetch(&who("a"), &speaking, 10), Err(ErrorCode::INVALID_REQUEST));
        sessions.fetch(&who("a"), &request(1, &[]), 10).expect("it goes on");
    }

    #[test]
    fn there_are_no_more_sessions_than_allowed_and_the_last_of_a_group_is_known() {
        let mut sessions = ShareSessions::default();
        sessions.fetch(&who("a"), &request(0, &[0]), 2).expect("opens");
        let plan = sessions.fetch(&who("b"), &request(0, &[0]), 2).expect("opens");
        let full = Err(ErrorCode::SHARE_SESSION_LIMIT_REACHED);
        assert_eq!(sessions.fetch(&who("c"), &request(0, &[0]), 2), full);
        let again = sessions.fetch(&who("b"), &request(0, &[0]), 2).expect("in place of its own");
        // The connection of the first one ends: the member's new session stays.
        assert_eq!(sessions.close(&who("b"), plan.opened), None);
        assert_eq!(sessions.close(&who("b"), again.opened), Some(false));
        assert_eq!(sessions.close(&who("a"), None), Some(true));
        let many: Vec<i32> = (0..=limits::SHARE_SESSION_PARTITIONS_MAX as i32).collect();
        assert_eq!(sessions.fetch(&who("a"), &request(0, &many), 2), Err(ErrorCode::INVALID_REQUEST));
        sessions.fetch(&who("a"), &request(0, &many[1..]), 2).expect("as many as may be");
    }

    #[test]
    fn a_member_has_a_name() {
        let name = |text: &str| Some(text.to_owned());
        let named = |group: Option<String>, member: Option<String>| {
            ShareMember::named(group.as_ref(), member.as_ref()).is_ok()
        };
        assert!(named(name("g"), name(&"m".repeat(36))));
        assert!(!named(name("g"), name(&"m".repeat(37))));
        assert!(!named(name("g"), name("")) && !named(name("g"), None));
        assert!(!named(None, name("m")) && !named(name(""), name("m")));
    }
}
