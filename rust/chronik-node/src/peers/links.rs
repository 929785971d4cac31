//! Faults of the links between nodes, per direction. Applied where a message is sent, alike for both transports.

use std::collections::BTreeMap;

use chronik_wire::types::NodeId;

use crate::random::Seeded;

/// What is wrong with one direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Fault {
    cut: bool,
    delay_ms: u64,
    drop_ratio: f64,
}

/// What becomes of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes.
    Pass,
    /// It is lost.
    Drop,
    /// It travels that long; a cut that comes later does not stop it.
    Delay(u64),
}

/// The faults of all links of a cluster.
#[derive(Debug)]
pub(crate) struct Links {
    faults: BTreeMap<(NodeId, NodeId), Fault>,
    random: Seeded,
}

impl Links {
    /// Links without faults; `seed` decides which messages a lossy link loses.
    pub(crate) fn new(seed: u64) -> Links {
        Links { faults: BTreeMap::new(), random: Seeded::new(seed) }
    }

    /// What becomes of a message from `from` to `to`.
    pub(crate) fn verdict(&mut self, from: NodeId, to: NodeId) -> Verdict {
        if self.faults.is_empty() {
            return Verdict::Pass;
        }
        let Some(fault) = self.faults.get(&(from, to)) else { return Verdict::Pass };
        if fault.cut || (fault.drop_ratio > 0.0 && self.random.chance(fault.drop_ratio)) {
            Verdict::Drop
        } else if fault.delay_ms > 0 {
            Verdict::Delay(fault.delay_ms)
        } else {
            Verdict::Pass
        }
    }

    /// Nothing gets from `from` to `to` any more.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.change(from, to, |fault| fault.cut = true);
    }

    /// Whether the link from `from` to `to` is cut.
    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.faults.get(&(from, to)).is_some_and(|fault| fault.cut)
    }

    /// Whether any link is faulty.
    pub(crate) fn any_fault(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Messages from `from` to `to` travel `delay_ms`; 0 ends the delay.
    pub(crate) fn delay(&mut self, from: NodeId, to: NodeId, delay_ms: u64) {
        self.change(from, to, |fault| fault.delay_ms = delay_ms);
    }

    /// A message from `from` to `to` is lost with this probability; 0 ends the loss.
    pub(crate) fn drop_ratio(&mut self, from: NodeId, to: NodeId, ratio: f64) {
        self.change(from, to, |fault| fault.drop_ratio = ratio);
    }

    /// All links are well again.
    pub(crate) fn recover(&mut self) {
        self.faults.clear();
    }

    fn change(&mut self, from: NodeId, to: NodeId, change: impl FnOnce(&mut Fault)) {
        let fault = self.faults.entry((from, to)).or_default();
        change(fault);
        if *fault == Fault::default() {
            self.faults.remove(&(from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    #[test]
    fn a_cut_has_a_direction_and_recovers() {
        let mut links = Links::new(1);
        links.cut(A, B);
        assert_eq!(links.verdict(A, B), Verdict::Drop);
        assert!(links.is_cut(A, B) && !links.is_cut(B, A));
        assert_eq!(links.verdict(B, A), Verdict::Pass);
        links.recover();
        assert_eq!(links.verdict(A, B), Verdict::Pass);
    }

    #[test]
    fn losses_are_the_same_for_the_same_seed() {
        let lost = |seed| {
            let mut links = Links::new(seed);
            links.drop_ratio(A, B, 0.5);
            (0..64).map(|_| links.verdict(A, B) == Verdict::Drop).collect::<Vec<_>>()
        };
        assert_eq!(lost(3), lost(3));
        assert_ne!(lost(3), lost(4));
        assert!(lost(3).contains(&true) && lost(3).contains(&false));
    }

    #[test]
    fn ending_the_last_fault_of_a_link_forgets_it() {
        let mut links = Links::new(1);
        links.delay(A, B, 5);
        assert_eq!(links.verdict(A, B), Verdict::Delay(5));
        links.delay(A, B, 0);
        assert!(links.faults.is_empty());
    }
}
