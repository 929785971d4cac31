//! Links between nodes: how long a message takes, whether it arrives, and how often.
//!
//! Pure: asked about a message when it leaves, and again when it should arrive.

use std::collections::BTreeMap;

use chronik_wire::types::NodeId;

use crate::plan::{NetworkPlan, Noise};
use crate::random::Random;

/// Longest extra delay of a late message, in microseconds.
const LATE_US_MAX: u64 = 3_000_000;

/// A link, from one node to another.
pub(crate) type Link = (NodeId, NodeId);

/// The links of a cluster.
#[derive(Debug)]
pub(crate) struct Network {
    plan: NetworkPlan,
    random: Random,
    /// Noise that faults add, by fault.
    extra: BTreeMap<usize, Noise>,
    /// Why a link is cut, by fault, and since when.
    cuts: BTreeMap<(Link, usize), u64>,
    /// Arrival of the last message of a link, in microseconds.
    last_arrival_us: BTreeMap<Link, u64>,
    /// Messages lost on the way.
    pub(crate) lost: u64,
}

impl Network {
    pub(crate) fn new(plan: NetworkPlan, random: Random) -> Network {
        Network {
            plan,
            random,
            extra: BTreeMap::new(),
            cuts: BTreeMap::new(),
            last_arrival_us: BTreeMap::new(),
            lost: 0,
        }
    }

    /// A message leaves: when it arrives, in microseconds; twice if it is repeated, never if it is lost.
    pub(crate) fn send(&mut self, link: Link, now_us: u64) -> Vec<u64> {
        let noise = self.noise();
        if self.is_cut(link) || self.random.chance(noise.loss_per_mille) {
            self.lost += 1;
            return Vec::new();
        }
        let mut arrivals = vec![self.arrival_us(link, now_us, noise)];
        if self.random.chance(noise.repeat_per_mille) {
            // A copy takes a way of its own: it may come much later than the first.
            let copy_us = now_us + self.latency_us() + self.random.below(LATE_US_MAX / 10);
            arrivals.push(copy_us);
        }
        arrivals
    }

    fn arrival_us(&mut self, link: Link, now_us: u64, noise: Noise) -> u64 {
        let mut at_us = now_us + self.latency_us();
        // On an ordered link one late message holds up all that follow: there it must be rare.
        let late_per_million = noise.late_per_mille * if self.plan.ordered { 20 } else { 1_000 };
        if self.random.below(1_000_000) < late_per_million {
            at_us += self.random.below(LATE_US_MAX);
        }
        if self.plan.ordered {
            let last_us = self.last_arrival_us.entry(link).or_default();
            at_us = at_us.max(*last_us);
            *last_us = at_us;
        }
        at_us
    }

    fn latency_us(&mut self) -> u64 {
        let mean_us = self.plan.latency_us;
        mean_us / 2 + self.random.around(mean_us / 2)
    }

    /// A message that left at `sent_us` should arrive now. A cut since then lets only some through.
    pub(crate) fn arrives(&mut self, link: Link, sent_us: u64) -> bool {
        let cut_since = self.cuts.range((link, 0)..=(link, usize::MAX)).any(|(_, since)| *since >= sent_us);
        let arrives = !cut_since || self.random.chance(self.plan.survive_per_mille);
        self.lost += u64::from(!arrives);
        arrives
    }

    fn noise(&self) -> Noise {
        let most = |of: fn(&Noise) -> u64| {
            self.extra.values().chain([&self.plan.noise]).map(of).max().unwrap_or_default()
        };
        Noise {
            loss_per_mille: most(|noise| noise.loss_per_mille),
            repeat_per_mille: most(|noise| noise.repeat_per_mille),
            late_per_mille: most(|noise| noise.late_per_mille),
        }
    }

    /// Whether a link carries nothing now.
    pub(crate) fn is_cut(&self, link: Link) -> bool {
        self.cuts.range((link, 0)..=(link, usize::MAX)).next().is_some()
    }

    /// Fault number `fault` takes links away.
    pub(crate) fn cut(&mut self, fault: usize, links: impl IntoIterator<Item = Link>, now_us: u64) {
        self.cuts.extend(links.into_iter().map(|link| ((link, fault), now_us)));
    }

    /// Fault number `fault` makes links worse.
    pub(crate) fn add_noise(&mut self, fault: usize, noise: Noise) {
        self.extra.insert(fault, noise);
    }

    /// Fault number `fault` has ended.
    pub(crate) fn heal(&mut self, fault: usize) {
        self.cuts.retain(|(_, cause), _| *cause != fault);
        self.extra.remove(&fault);
    }

    /// Everything works from now on.
    pub(crate) fn heal_all(&mut self) {
        self.cuts.clear();
        self.extra.clear();
        self.plan.noise = Noise::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(noise: Noise, ordered: bool) -> Network {
        let plan = NetworkPlan { latency_us: 100, ordered, noise, survive_per_mille: 500 };
        Network::new(plan, Random::new(1))
    }

    const LINK: Link = (NodeId(1), NodeId(2));

    #[test]
    fn an_ordered_link_never_overtakes_and_an_unordered_one_does() {
        let arrivals = |ordered| {
            let mut network = network(Noise { late_per_mille: 300, ..Noise::default() }, ordered);
            (0..2_000).flat_map(|sent| network.send(LINK, sent)).collect::<Vec<_>>()
        };
        assert!(arrivals(true).is_sorted());
        assert!(!arrivals(false).is_sorted());
    }

    #[test]
    fn a_cut_stops_what_leaves_and_some_of_what_is_under_way() {
        let mut network = network(Noise::default(), true);
        network.cut(7, [LINK], 1_000);
        assert!(network.send(LINK, 1_001).is_empty() && network.is_cut(LINK));
        assert!(!network.send((NodeId(2), NodeId(1)), 1_001).is_empty());
        let survived = (0..1_000).filter(|_| network.arrives(LINK, 900)).count();
        assert!((300..700).contains(&survived), "{survived}");
        network.heal(7);
        assert!(network.arrives(LINK, 900) && !network.send(LINK, 2_000).is_empty());
    }

    #[test]
    fn noise_loses_and_repeats() {
        let mut network =
            network(Noise { loss_per_mille: 200, repeat_per_mille: 200, late_per_mille: 0 }, false);
        let counts: Vec<usize> = (0..1_000).map(|sent| network.send(LINK, sent).len()).collect();
        for expected in 0..=2 {
            assert!(counts.iter().filter(|count| **count == expected).count() > 50);
        }
    }
}
