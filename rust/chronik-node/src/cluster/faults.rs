//! Faults of the links between nodes. They are the same for both transports: a message is lost or held where it is
//! sent.

use std::sync::atomic::Ordering;

use chronik_wire::types::NodeId;

use super::Cluster;
use super::error::ClusterError;
use crate::peers::links::Links;

impl Cluster {
    /// Nothing gets from `a` to `b` any more, nor, unless `one_way`, from `b` to `a`. What is under way on a delayed link
    /// still arrives.
    pub fn cut(&self, a: NodeId, b: NodeId, one_way: bool) -> Result<(), ClusterError> {
        self.pair(a, b)?;
        self.change_links(move |links| {
            links.cut(a, b);
            if !one_way {
                links.cut(b, a);
            }
        })
    }

    /// Cuts a node off from all others, both ways. Its clients still reach it.
    pub fn isolate(&self, node: NodeId) -> Result<(), ClusterError> {
        self.record(node)?;
        let others: Vec<NodeId> = self.node_ids().into_iter().filter(|other| *other != node).collect();
        self.change_links(move |links| {
            for other in &others {
                links.cut(node, *other);
                links.cut(*other, node);
            }
        })
    }

    /// Messages between `a` and `b` take `delay_ms` each way; 0 ends the delay.
    pub fn delay(&self, a: NodeId, b: NodeId, delay_ms: u64) -> Result<(), ClusterError> {
        self.pair(a, b)?;
        self.change_links(move |links| {
            links.delay(a, b, delay_ms);
            links.delay(b, a, delay_ms);
        })
    }

    /// A message between `a` and `b` is lost with probability `ratio`; 0 ends the loss. Which ones, the seed decides.
    pub fn drop_ratio(&self, a: NodeId, b: NodeId, ratio: f64) -> Result<(), ClusterError> {
        self.pair(a, b)?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(ClusterError::InvalidOption(format!("ratio is {ratio}; pass a number from 0 to 1")));
        }
        self.change_links(move |links| {
            links.drop_ratio(a, b, ratio);
            links.drop_ratio(b, a, ratio);
        })
    }

    /// All links are well again. Nodes that are down or frozen stay so.
    pub fn recover(&self) -> Result<(), ClusterError> {
        self.change_links(Links::recover)
    }

    fn pair(&self, a: NodeId, b: NodeId) -> Result<(), ClusterError> {
        self.record(a)?;
        self.record(b)?;
        if a == b {
            return Err(ClusterError::InvalidOption(format!(
                "a node has no link to itself; pass two nodes, not {a} twice"
            )));
        }
        Ok(())
    }

    fn change_links(&self, change: impl Fn(&mut Links) + Clone + Send + 'static) -> Result<(), ClusterError> {
        self.on_every_shard({
            let change = change.clone();
            move |shard| change(&mut shard.links().borrow_mut())
        })?;
        let faulty = self.ask(0, "a look at the links", |shard| {
            crate::launch::ready(shard.links().borrow().any_fault())
        })?;
        self.links_faulty.store(faulty, Ordering::Relaxed);
        Ok(())
    }
}
