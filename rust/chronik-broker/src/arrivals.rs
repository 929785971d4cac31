//! Telling the controller that a partition's Raft group consists of the members wanted of it.
//!
//! The group's leader knows; the controller then ends the reassignment, and the replicas that left are removed. A report
//! that gets lost is made again, by the same leader or by its successor, and one that is out of date is ignored.

use std::collections::BTreeSet;
use std::rc::Rc;

use chronik_coord::{Action, ArrivedPartition};
use chronik_wire::types::PartitionKey;

use crate::broker::Broker;
use crate::limits;

/// Partitions to report, and whether somebody is at it.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    due: BTreeSet<PartitionKey>,
    reporting: bool,
}

impl Broker {
    /// After a turn: takes in which groups have arrived, and reports them beside everything else.
    pub(crate) fn report_arrivals(self: &Rc<Self>) {
        let arrived = self.hosts.own().borrow_mut().take_arrivals();
        if arrived.is_empty() {
            return;
        }
        let image = self.node.image();
        let moves =
            |key: &PartitionKey| image.assignment(*key).is_some_and(|assignment| assignment.is_moving());
        let mut arrivals = self.arrivals.borrow_mut();
        arrivals.due.extend(arrived.into_iter().filter(moves));
        if !arrivals.due.is_empty() && !std::mem::replace(&mut arrivals.reporting, true) {
            self.world.spawn(Box::pin(Rc::clone(self).report_until_done()));
        }
    }

    async fn report_until_done(self: Rc<Self>) {
        loop {
            let arrived = self.next_report();
            if arrived.is_empty() {
                self.arrivals.borrow_mut().reporting = false;
                return;
            }
            let keys: Vec<PartitionKey> =
                arrived.iter().map(|arrived| PartitionKey::new(arrived.topic, arrived.partition)).collect();
            let deadline_ms = self.world.now_ms() + limits::INTERNAL_CALL_TIMEOUT_MS;
            let action = Action::CompleteReassignments { arrived };
            if self.controller_call(action, deadline_ms).await.is_err() {
                self.arrivals.borrow_mut().due.extend(keys);
            }
        }
    }

    /// Takes what can be reported now, within the bound of a command. What is not true any more is forgotten. A group that
    /// arrives while it is reported is due again: it may have been sent elsewhere meanwhile, and the report be out of date.
    fn next_report(&self) -> Vec<ArrivedPartition> {
        let image = self.node.image();
        let host = self.hosts.own().borrow();
        let mut arrivals = self.arrivals.borrow_mut();
        arrivals.due.retain(|key| {
            let moves = image.assignment(*key).is_some_and(|assignment| assignment.is_moving());
            moves && host.replica(*key).is_some_and(|replica| replica.is_settled_as_wanted())
        });
        let due = arrivals.due.iter().take(limits::ARRIVALS_PER_REPORT_MAX);
        let report = due.filter_map(|key| {
            let members = host.replica(*key)?.membership().voters;
            let members = members.iter().map(|member| (member.node, member.generation)).collect();
            Some(ArrivedPartition { topic: key.topic, partition: key.partition, members })
        });
        let report: Vec<ArrivedPartition> = report.collect();
        for arrived in &report {
            arrivals.due.remove(&PartitionKey::new(arrived.topic, arrived.partition));
        }
        report
    }
}
