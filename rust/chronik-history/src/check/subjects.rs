//! The events of a history, sorted by time and parted by what they concern.

use std::collections::BTreeMap;

use super::hash::QuickMap;
use crate::event::{Event, History};
use crate::operation::{Call, FINAL_PHASE, FetchArgs, FetchResult, Operation};
use crate::text::Text;

/// Place of an event in [`History::events`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EventId(pub(super) u32);

/// The events of one partition, each list ascending in time of invocation.
#[derive(Debug, Default)]
pub(super) struct KeyEvents {
    /// `topic_id/partition`.
    pub(super) key: Text,
    pub(super) sends: Vec<EventId>,
    /// Fetches of any outcome.
    pub(super) fetches: Vec<EventId>,
    pub(super) lists: Vec<EventId>,
    pub(super) epoch_ends: Vec<EventId>,
    pub(super) assigns: Vec<EventId>,
    pub(super) dumps: Vec<EventId>,
    pub(super) states: Vec<EventId>,
    /// Joins, OffsetCommit, TxnOffsetCommit and OffsetFetch.
    pub(super) group_calls: Vec<EventId>,
}

impl KeyEvents {
    /// The topic's id: the key up to its last slash.
    pub(super) fn topic_id(&self) -> &str {
        topic_id(&self.key)
    }
}

/// The topic's id in a key: everything up to the last slash.
pub(super) fn topic_id(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(topic_id, _)| topic_id)
}

/// All events, sorted and parted.
#[derive(Debug)]
pub(super) struct Subjects<'a> {
    events: &'a [Event],
    /// All events ascending in time of invocation.
    pub(super) in_order: Vec<EventId>,
    /// In the order in which the keys appear.
    pub(super) keys: Vec<KeyEvents>,
    /// Topics that were created compacted, by id.
    pub(super) compacted: BTreeMap<&'a str, EventId>,
    /// Deletions that may have happened, by topic id; the earliest invoked of each.
    pub(super) deleted: BTreeMap<&'a str, EventId>,
    /// When the final phase began.
    pub(super) final_phase_ns: Option<u64>,
}

impl<'a> Subjects<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        let events = &history.events[..];
        assert!(u32::try_from(events.len()).is_ok(), "a history has fewer than 2^32 events");
        let mut in_order: Vec<EventId> = (0..events.len() as u32).map(EventId).collect();
        in_order.sort_by_key(|id| events.get(id.0 as usize).map(|event| (event.invoked_ns, event.number)));
        let mut subjects = Self {
            events,
            in_order: Vec::new(),
            keys: Vec::new(),
            compacted: BTreeMap::new(),
            deleted: BTreeMap::new(),
            final_phase_ns: None,
        };
        let mut known: QuickMap<&str, usize> = QuickMap::default();
        for &id in &in_order {
            subjects.note(&mut known, id);
        }
        subjects.in_order = in_order;
        subjects
    }

    fn note(&mut self, known: &mut QuickMap<&'a str, usize>, id: EventId) {
        let event = self.event(id);
        match &event.operation {
            Operation::Create(Call { args, result: Some(result) }) if args.compacted => {
                self.compacted.insert(&result.topic_id, id);
            }
            Operation::Delete(call) if event.status != crate::event::Status::Fail => {
                self.deleted.entry(&call.args.topic_id).or_insert(id);
            }
            Operation::Phase(call) if &*call.args.name == FINAL_PHASE => {
                self.final_phase_ns = Some(event.invoked_ns);
            }
            _ => {}
        }
        if event.key.is_empty() {
            return;
        }
        let place = *known.entry(event.key.as_str()).or_insert_with(|| {
            self.keys.push(KeyEvents { key: event.key.clone(), ..KeyEvents::default() });
            self.keys.len() - 1
        });
        let Some(key) = self.keys.get_mut(place) else { return };
        match &event.operation {
            Operation::Send(_) => key.sends.push(id),
            Operation::Fetch(_) => key.fetches.push(id),
            Operation::List(_) => key.lists.push(id),
            Operation::EpochEnd(_) => key.epoch_ends.push(id),
            Operation::Assign(_) => key.assigns.push(id),
            Operation::Dump(_) => key.dumps.push(id),
            Operation::State(_) => key.states.push(id),
            Operation::Join(_)
            | Operation::Commit(_)
            | Operation::TxnOffsetCommit(_)
            | Operation::OffsetFetch(_) => key.group_calls.push(id),
            _ => {}
        }
    }

    /// The event of this id.
    pub(super) fn event(&self, id: EventId) -> &'a Event {
        // Ids come from this list and from nowhere else.
        &self.events[id.0 as usize]
    }

    /// When the event's answer was in; for one without an answer, never.
    pub(super) fn returned_ns(&self, id: EventId) -> u64 {
        self.event(id).returned_ns.unwrap_or(u64::MAX)
    }

    /// The answers of a key's fetches that succeeded, ascending in time of invocation.
    pub(super) fn answers<'b>(&'b self, key: &'b KeyEvents) -> impl Iterator<Item = Answer<'a>> + 'b {
        key.fetches.iter().filter_map(|id| self.answer(*id))
    }

    /// The answer of a fetch that succeeded and has content.
    pub(super) fn answer(&self, id: EventId) -> Option<Answer<'a>> {
        let event = self.event(id);
        match &event.operation {
            Operation::Fetch(Call { args, result: Some(result) }) if event.is_ok() => {
                Some(Answer { id, event, args, result, returned_ns: event.returned_ns? })
            }
            _ => None,
        }
    }

    /// True if records of the key may vanish from its middle.
    pub(super) fn is_compacted(&self, key: &KeyEvents) -> bool {
        self.compacted.contains_key(key.topic_id())
    }
}

/// A successful answer to a fetch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) id: EventId,
    pub(super) event: &'a Event,
    pub(super) args: &'a FetchArgs,
    pub(super) result: &'a FetchResult,
    pub(super) returned_ns: u64,
}

impl Answer<'_> {
    /// "Ask another replica": neither records nor a claim that there are none.
    pub(super) fn is_redirect(&self) -> bool {
        self.result.records.is_empty() && self.result.preferred.is_some_and(|node| node >= 0)
    }

    /// Where the reader goes on.
    pub(super) fn next(&self) -> i64 {
        let after_last =
            self.result.records.last().map_or(self.args.offset, |record| record.offset.saturating_add(1));
        self.result.next.map_or(after_last, |next| next.max(after_last))
    }

    /// True if the answer says that there is nothing at or above the asked offset.
    pub(super) fn says_empty(&self) -> bool {
        self.result.records.is_empty() && self.next() <= self.args.offset && !self.is_redirect()
    }
}
