//! Fetch sessions (KIP-227): what a client fetches repeatedly, so that it need not name it each time.
//!
//! A pure table. Omitting a partition from an incremental answer says "unchanged", which is a claim like any other:
//! the handler evaluates every partition of the session through the same gate, and this table only decides what to
//! leave out.

use std::collections::{HashMap, HashSet};

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::{FetchPartition, FetchRequest, PartitionData};
use indexmap::IndexMap;

use crate::limits;
use crate::topics::TopicName;

const NO_SESSION: i32 = 0;
const EPOCH_FULL: i32 = -1;
const EPOCH_NEW: i32 = 0;

/// A partition as a fetch names it.
pub(crate) type Wanted = (TopicName, FetchPartition);

/// What one Fetch is to do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The session that the answer belongs to.
    pub(crate) session: PlanKind,
    /// Every partition to evaluate, in order.
    pub(crate) wanted: Vec<Wanted>,
}

/// How a Fetch relates to sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanKind {
    /// No session: the answer holds everything asked for.
    Sessionless,
    /// The first fetch of a session: the answer holds everything, and the session's id.
    New(i32),
    /// A later fetch: the answer holds what has changed.
    Incremental(i32),
}

/// The figures that a client was last told about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    last_stable_offset: i64,
    log_start: i64,
}

#[derive(Debug)]
struct Cached {
    wanted: FetchPartition,
    told: Option<Told>,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    used_at: u64,
    partitions: IndexMap<(TopicName, i32), Cached>,
}

/// The sessions of one shard.
#[derive(Debug)]
pub(crate) struct SessionCache {
    sessions: HashMap<i32, Session>,
    next_id: u64,
    uses: u64,
    /// Sessions that had to make room, for the counter.
    pub(crate) evicted: u64,
}

impl SessionCache {
    /// An empty table. Ids start at a random place, so that a session of an earlier start is not mistaken for ours.
    pub(crate) fn new(seed: u64) -> SessionCache {
        SessionCache { sessions: HashMap::new(), next_id: seed, uses: 0, evicted: 0 }
    }

    /// Reads the session part of a request. Errors are answers for the whole request: 70 or 71.
    pub(crate) fn begin(
        &mut self,
        request: &FetchRequest,
        version: i16,
        by_id: bool,
    ) -> Result<Plan, ErrorCode> {
        let named = wanted_of(request, by_id);
        if version < 7 || request.session_epoch == EPOCH_FULL || request.session_epoch == EPOCH_NEW {
            if request.session_id != NO_SESSION {
                self.sessions.remove(&request.session_id);
            }
            let wants_session = version >= 7 && request.session_epoch == EPOCH_NEW;
            let session =
                if wants_session { PlanKind::New(self.create(&named)) } else { PlanKind::Sessionless };
            return Ok(Plan { session, wanted: named });
        }
        self.uses += 1;
        let session =
            self.sessions.get_mut(&request.session_id).ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != request.session_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        session.epoch = next_epoch(session.epoch);
        session.used_at = self.uses;
        for forgotten in &request.forgotten_topics_data {
            let topic = TopicName::of(by_id, &forgotten.topic, forgotten.topic_id);
            for partition in &forgotten.partitions {
                session.partitions.shift_remove(&(topic.clone(), *partition));
            }
        }
        for (topic, wanted) in named {
            let told = None;
            session.partitions.insert((topic, wanted.partition), Cached { wanted, told });
        }
        if session.partitions.len() > limits::FETCH_PARTITIONS_MAX {
            self.sessions.remove(&request.session_id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        let wanted = session
            .partitions
            .iter()
            .map(|((topic, _), cached)| (topic.clone(), cached.wanted.clone()))
            .collect();
        Ok(Plan { session: PlanKind::Incremental(request.session_id), wanted })
    }

    /// Whether a result has to be in the answer; remembers what the client is told.
    pub(crate) fn tell(&mut self, kind: PlanKind, topic: &TopicName, result: &PartitionData) -> bool {
        let (id, incremental) = match kind {
            PlanKind::Sessionless => return true,
            PlanKind::New(id) => (id, false),
            PlanKind::Incremental(id) => (id, true),
        };
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let Some(cached) = session.partitions.get_mut(&(topic.clone(), result.partition_index)) else {
            return true;
        };
        let figures = Told {
            high_watermark: result.high_watermark,
            last_stable_offset: result.last_stable_offset,
            log_start: result.log_start_offset,
        };
        let remarkable = result.error_code != ErrorCode::NONE
            || !result.records.is_empty()
            || result.preferred_read_replica >= 0
            || result.diverging_epoch.end_offset >= 0;
        let news = remarkable || cached.told != Some(figures);
        // After an error or a hint the client must hear the next ordinary answer, whatever its figures.
        cached.told = if result.error_code == ErrorCode::NONE && result.preferred_read_replica < 0 {
            Some(figures)
        } else {
            None
        };
        news || !incremental
    }

    /// After an answer: who got records goes to the back of the queue. Also when the answer was not full: a batch that
    /// does not fit beside another partition's must come first one day.
    pub(crate) fn rotate(&mut self, kind: PlanKind, served: &HashSet<(TopicName, i32)>) {
        let (PlanKind::New(id) | PlanKind::Incremental(id)) = kind else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if served.is_empty() || served.len() >= session.partitions.len() {
            return;
        }
        let all = std::mem::take(&mut session.partitions);
        let (behind, ahead): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, _)| served.contains(key));
        session.partitions = ahead.into_iter().chain(behind).collect();
    }

    fn create(&mut self, named: &[Wanted]) -> i32 {
        if named.is_empty() || named.len() > limits::FETCH_PARTITIONS_MAX {
            return NO_SESSION;
        }
        if self.sessions.len() >= limits::FETCH_SESSIONS_MAX {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used_at).map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                self.sessions.remove(&oldest);
                self.evicted += 1;
            }
        }
        let id = self.fresh_id();
        self.uses += 1;
        let partitions = named
            .iter()
            .map(|(topic, wanted)| {
                ((topic.clone(), wanted.partition), Cached { wanted: wanted.clone(), told: None })
            })
            .collect();
        self.sessions.insert(id, Session { epoch: 1, used_at: self.uses, partitions });
        id
    }

    fn fresh_id(&mut self) -> i32 {
        loop {
            self.next_id =
                self.next_id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = ((self.next_id >> 33) as i32) & i32::MAX;
            if id != NO_SESSION && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

fn wanted_of(request: &FetchRequest, by_id: bool) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let name = TopicName::of(by_id, &topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.iter().map(|partition| (name.clone(), partition.clone())));
    }
    wanted
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_wire::messages::fetch::{FetchTopic, ForgottenTopic};

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partitions = partitions
            .iter()
            .map(|partition| FetchPartition { partition: *partition, ..FetchPartition::default() })
            .collect();
        let topics = vec![FetchTopic { topic: "t".to_owned(), partitions, ..FetchTopic::default() }];
        FetchRequest { session_id, session_epoch, topics, ..FetchRequest::default() }
    }

    fn result(partition: i32, high_watermark: i64) -> PartitionData {
        PartitionData {
            partition_index: partition,
            high_watermark,
            last_stable_offset: high_watermark,
            log_start_offset: 0,
            ..PartitionData::default()
        }
    }

    fn topic() -> TopicName {
        TopicName::Name("t".to_owned())
    }

    fn open(cache: &mut SessionCache) -> i32 {
        match cache.begin(&request(0, 0, &[0, 1]), 12, false).expect("begins").session {
            PlanKind::New(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_unchanged_partition_is_left_out_and_a_moved_watermark_brings_it_back() {
        let mut cache = SessionCache::new(7);
        let id = open(&mut cache);
        assert!(cache.tell(PlanKind::New(id), &topic(), &result(0, 5)));
        let plan = cache.begin(&request(id, 1, &[]), 12, false).expect("continues");
        assert_eq!(plan.wanted.len(), 2);
        assert!(!cache.tell(plan.session, &topic(), &result(0, 5)));
        assert!(cache.tell(plan.session, &topic(), &result(0, 6)));
    }

    #[test]
    fn a_hint_is_always_told_and_so_is_what_follows_it() {
        let mut cache = SessionCache::new(7);
        let id = open(&mut cache);
        let kind = PlanKind::Incremental(id);
        cache.tell(kind, &topic(), &result(0, 5));
        let hint = PartitionData { preferred_read_replica: 2, ..result(0, -1) };
        assert!(cache.tell(kind, &topic(), &hint));
        assert!(cache.tell(kind, &topic(), &hint));
        assert!(cache.tell(kind, &topic(), &result(0, 5)));
        assert!(!cache.tell(kind, &topic(), &result(0, 5)));
    }

    #[test]
    fn a_wrong_epoch_is_71_and_an_unknown_session_70() {
        let mut cache = SessionCache::new(7);
        let id = open(&mut cache);
        let wrong = cache.begin(&request(id, 2, &[]), 12, false);
        assert_eq!(wrong.expect_err("refused"), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        let unknown = cache.begin(&request(id.wrapping_add(1) & i32::MAX, 1, &[]), 12, false);
        assert_eq!(unknown.expect_err("refused"), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    }

    #[test]
    fn forgotten_partitions_leave_and_a_full_fetch_closes_the_session() {
        let mut cache = SessionCache::new(7);
        let id = open(&mut cache);
        let mut forget = request(id, 1, &[]);
        forget.forgotten_topics_data =
            vec![ForgottenTopic { topic: "t".to_owned(), partitions: vec![0], ..ForgottenTopic::default() }];
        assert_eq!(cache.begin(&forget, 12, false).expect("continues").wanted.len(), 1);
        let full = cache.begin(&request(id, -1, &[0]), 12, false).expect("served");
        assert_eq!(full.session, PlanKind::Sessionless);
        assert!(cache.begin(&request(id, 2, &[]), 12, false).is_err());
    }

    #[test]
    fn the_session_unused_longest_makes_room_at_the_limit() {
        let mut cache = SessionCache::new(7);
        let first = open(&mut cache);
        let second = open(&mut cache);
        cache.begin(&request(first, 1, &[]), 12, false).expect("used");
        for _ in 2..limits::FETCH_SESSIONS_MAX {
            open(&mut cache);
        }
        assert_eq!((cache.sessions.len(), cache.evicted), (limits::FETCH_SESSIONS_MAX, 0));
        open(&mut cache);
        assert_eq!((cache.sessions.len(), cache.evicted), (limits::FETCH_SESSIONS_MAX, 1));
        assert!(cache.sessions.contains_key(&first) && !cache.sessions.contains_key(&second));
    }
}
