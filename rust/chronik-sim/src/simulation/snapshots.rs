//! The state of the whole cluster, taken and put back: what all disks hold at one instant, and who ran.
//!
//! Whatever was under way when it is put back is lost with the connections: messages, requests, and what nodes knew.

use std::collections::BTreeMap;

use chronik_log::{DiskImage, UnsyncedPolicy};
use chronik_wire::types::NodeId;

use super::Simulation;
use crate::auditor::Auditor;

/// What is to be done with the state of the cluster, by whoever holds the clients as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewind {
    /// Take it.
    Take,
    /// Put it back.
    PutBack,
}

/// A state.
pub(crate) struct Snapshot {
    seats: BTreeMap<NodeId, Kept>,
    /// What the auditor had seen: what came after has not happened.
    auditor: Auditor,
}

struct Kept {
    disk: DiskImage,
    ran: bool,
    damaged: bool,
}

impl Simulation {
    /// What is to be done now, once.
    pub(crate) fn take_rewind(&mut self) -> Option<Rewind> {
        self.rewind.take()
    }

    /// Whether something is to be done.
    pub(crate) fn wants_rewind(&self) -> bool {
        self.rewind.is_some()
    }

    /// The state of all nodes as of now.
    pub(crate) fn take_snapshot(&self) -> Snapshot {
        let seats = self.seats.iter().map(|(id, seat)| {
            let (disk, ran) = (seat.disk.image(), seat.running.is_some());
            (*id, Kept { disk, ran, damaged: seat.damaged })
        });
        self.board.tell(|| "the state of the cluster is taken".to_owned());
        Snapshot { seats: seats.collect(), auditor: self.auditor.clone() }
    }

    /// All nodes go down, get back what they held, and those that ran start. False if nodes have joined or left since.
    pub(crate) fn put_back(&mut self, snapshot: &Snapshot) -> bool {
        if !self.ids().iter().eq(snapshot.seats.keys()) || self.seats.values().any(|seat| seat.left) {
            return false;
        }
        self.board.tell(|| "the state of the cluster is put back".to_owned());
        for id in self.ids() {
            self.stop(id, UnsyncedPolicy::Keep);
        }
        let violations = self.auditor.violations().to_vec();
        self.auditor = snapshot.auditor.clone();
        self.auditor.keep(violations);
        self.rewound_us = self.board.now_us();
        for (id, kept) in &snapshot.seats {
            if let Some(seat) = self.seats.get_mut(id) {
                seat.disk.load(&kept.disk);
                seat.damaged = kept.damaged;
            }
        }
        for (id, _) in snapshot.seats.iter().filter(|(_, kept)| kept.ran) {
            self.start(*id);
        }
        self.saw("states_put_back");
        true
    }
}
