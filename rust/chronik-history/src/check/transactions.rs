//! Transactions: when each could be committed, and what a `read_committed` reader must not see of it.
//!
//! A transaction is visible from the moment somebody asked to commit it, unless that request failed for sure, and only
//! then. It is over for everybody once its EndTxn was acknowledged, or a later InitProducerId of the same
//! transactional id was.

use super::findings::{Findings, Story};
use super::hash::QuickMap;
use super::subjects::{Answer, EventId, KeyEvents, Subjects};
use super::values::Value;
use crate::event::Status;
use crate::operation::{Isolation, Operation, Record};
use crate::text::Text;
use crate::verdict::Rule;

/// Error codes after which an EndTxn may still take effect: a coordinator that loses its office while the markers are under
/// way says no more than that, and its successor carries the decision out.
const OPEN_OUTCOME: [i16; 7] = [-1, 7, 13, 14, 15, 16, 51];

/// Place of a transaction in [`Transactions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TransactionId(pub(super) u32);

/// What is known about one transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) name: Text,
    begin: Option<EventId>,
    /// First attempt to commit that may have succeeded.
    pub(super) commit: Option<EventId>,
    /// A commit that was acknowledged.
    pub(super) committed: Option<EventId>,
    /// First attempt to abort, or a commit that failed for sure.
    abort: Option<EventId>,
    /// An abort that was acknowledged.
    aborted: Option<EventId>,
    /// When it was certainly over.
    pub(super) closed_ns: u64,
    /// The event that ended it.
    pub(super) closed_by: Option<EventId>,
    /// A `read_committed` answer that showed one of its records.
    pub(super) shown: Option<EventId>,
}

impl Transaction {
    /// True if its records belong to the committed log for sure.
    pub(super) fn is_visible(&self) -> bool {
        self.committed.is_some() || self.shown.is_some()
    }
}

/// All transactions of a history.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    by_name: QuickMap<Text, TransactionId>,
    all: Vec<Transaction>,
}

impl Transactions {
    pub(super) fn new(subjects: &Subjects<'_>) -> Self {
        let mut transactions = Self::default();
        let mut of_transactional_id: QuickMap<&str, Vec<TransactionId>> = QuickMap::default();
        for &id in &subjects.in_order {
            let event = subjects.event(id);
            match &event.operation {
                Operation::Begin(call) => {
                    let transaction = transactions.intern(&call.args.transaction);
                    transactions.get_mut(transaction).begin = Some(id);
                    if !call.args.transactional_id.is_empty() {
                        of_transactional_id.entry(&call.args.transactional_id).or_default().push(transaction);
                    }
                }
                Operation::End(call) => {
                    let transaction = transactions.intern(&call.args.transaction);
                    let is_open = event.status == Status::Fail && OPEN_OUTCOME.contains(&event.error);
                    let status = if is_open { Status::Info } else { event.status };
                    transactions.get_mut(transaction).on_end(
                        id,
                        call.args.commit,
                        status,
                        event.settled_ns(),
                    );
                }
                Operation::Init(call) if event.is_ok() => {
                    let Some(name) = &call.args.transactional_id else { continue };
                    // What began before this call is over when it returns; what begins later finds an empty list.
                    for transaction in of_transactional_id.remove(name.as_str()).unwrap_or_default() {
                        transactions.get_mut(transaction).close(id, event.settled_ns());
                    }
                }
                Operation::Send(call) => transactions.note(call.args.transaction.as_ref()),
                Operation::Fetch(call) => transactions.note(call.args.transaction.as_ref()),
                Operation::TxnOffsetCommit(call) => transactions.note(Some(&call.args.transaction)),
                _ => {}
            }
        }
        transactions
    }

    fn note(&mut self, name: Option<&Text>) {
        if let Some(name) = name {
            self.intern(name);
        }
    }

    fn intern(&mut self, name: &Text) -> TransactionId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = TransactionId(self.all.len() as u32);
        self.by_name.insert(name.clone(), id);
        self.all.push(Transaction {
            name: name.clone(),
            begin: None,
            commit: None,
            committed: None,
            abort: None,
            aborted: None,
            closed_ns: u64::MAX,
            closed_by: None,
            shown: None,
        });
        id
    }

    /// The transaction of this name.
    pub(super) fn find(&self, name: &Text) -> Option<TransactionId> {
        self.by_name.get(name).copied()
    }

    /// The transaction of this id.
    pub(super) fn get(&self, id: TransactionId) -> &Transaction {
        // Ids come from `intern` and from nowhere else.
        &self.all[id.0 as usize]
    }

    fn get_mut(&mut self, id: TransactionId) -> &mut Transaction {
        &mut self.all[id.0 as usize]
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// A `read_committed` answer shows a record of a transaction: was it allowed to?
    pub(super) fn on_shown(
        &mut self,
        findings: &mut Findings<'_, '_>,
        subjects: &Subjects<'_>,
        key: &KeyEvents,
        answer: &Answer<'_>,
        record: &Record,
        value: &Value<'_>,
    ) {
        let Some(id) = value.transaction else { return };
        if answer.args.isolation != Isolation::ReadCommitted {
            return;
        }
        let transaction = self.get_mut(id);
        if transaction.is_aborted() {
            let events: Vec<EventId> =
                [Some(value.send), transaction.abort, Some(answer.id)].into_iter().flatten().collect();
            findings.accuse(Rule::G1a, &key.key, &events, || Story {
                what: format!(
                    "A read_committed fetch shows {:?} at offset {}, though transaction {:?} was aborted",
                    record.value, record.offset, transaction.name
                ),
                expected: "without the records of aborted transactions".to_owned(),
            });
            return;
        }
        let asked_ns = transaction.commit.map(|commit| subjects.event(commit).invoked_ns);
        if asked_ns.is_none_or(|asked_ns| asked_ns > answer.returned_ns) {
            let events: Vec<EventId> =
                [Some(value.send), Some(answer.id), transaction.commit].into_iter().flatten().collect();
            findings.accuse(Rule::Precommitted, &key.key, &events, || Story {
                what: format!(
                    "A read_committed fetch shows {:?} at offset {} while transaction {:?} was still open",
                    record.value, record.offset, transaction.name
                ),
                expected: "nothing of it before its commit is asked for: the LSO stops at its first record"
                    .to_owned(),
            });
            return;
        }
        transaction.shown.get_or_insert(answer.id);
    }
}

impl Transaction {
    fn on_end(&mut self, id: EventId, commit: bool, status: Status, settled_ns: u64) {
        match (commit, status) {
            (true, Status::Fail) => {
                self.abort.get_or_insert(id);
                return;
            }
            (false, Status::Fail) => return,
            (true, _) => {
                self.commit.get_or_insert(id);
                if status == Status::Ok {
                    self.committed.get_or_insert(id);
                }
            }
            (false, _) => {
                self.abort.get_or_insert(id);
                if status == Status::Ok {
                    self.aborted.get_or_insert(id);
                }
            }
        }
        if status == Status::Ok {
            self.close(id, settled_ns);
        }
    }

    fn close(&mut self, id: EventId, at_ns: u64) {
        if at_ns < self.closed_ns {
            self.closed_ns = at_ns;
            self.closed_by = Some(id);
        }
    }

    /// True if it certainly never committed and somebody ended it.
    pub(super) fn is_aborted(&self) -> bool {
        self.committed.is_none() && (self.aborted.is_some() || self.commit.is_none() && self.abort.is_some())
    }
}
