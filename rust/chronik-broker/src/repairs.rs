//! Replicas whose data is damaged: each is replaced by a new member of its group, on the same disk, that takes everything
//! from its peers.
//!
//! A damaged replica has forgotten promises like one whose disk is lost, so it never comes back as the member that it was.
//! The controller is asked to name another in its place only when the partition has kept a leader elsewhere for so long that
//! it must have a majority: that holds all that was acknowledged. Of fewer than three replicas none is replaced, since they have no majority without
//! it. The damaged files stay until the node's next start.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use chronik_coord::{Action, DamagedReplica, MetaImage};
use chronik_wire::types::{LeaderEpoch, PartitionKey};

use crate::broker::Broker;
use crate::counters::count;
use crate::limits;
use crate::world::until;

/// Fewest replicas of a partition that can do without one.
const REPLICAS_MIN: usize = 3;

/// A replica that could not be opened.
#[derive(Debug, Clone, Copy)]
struct Damaged {
    /// Which member it was.
    generation: u32,
    /// The leadership that was seen last, and since when.
    led: Option<(LeaderEpoch, u64)>,
}

/// Damaged replicas of one shard, and whether somebody sees to them.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    due: RefCell<BTreeMap<PartitionKey, Damaged>>,
    at_work: std::cell::Cell<bool>,
}

impl Broker {
    /// A replica could not be opened because its data is damaged.
    pub(crate) fn note_damage(&self, key: PartitionKey, generation: u32) {
        self.repairs.due.borrow_mut().insert(key, Damaged { generation, led: None });
    }

    /// Has damaged replicas replaced, beside everything else.
    pub(crate) fn repair_damage(self: &Rc<Self>) {
        if !self.repairs.due.borrow().is_empty() && !self.repairs.at_work.replace(true) {
            self.world.spawn(Box::pin(Rc::clone(self).repair_until_done()));
        }
    }

    async fn repair_until_done(self: Rc<Self>) {
        let mut view_changes = self.node.subscribe_view();
        loop {
            view_changes.borrow_and_update();
            let image = self.node.image();
            let is_member =
                |key: &PartitionKey, damaged: &mut Damaged| self.is_member(&image, *key, damaged.generation);
            self.repairs.due.borrow_mut().retain(is_member);
            if self.repairs.due.borrow().is_empty() {
                self.repairs.at_work.set(false);
                return;
            }
            let replicas = self.replaceable(&image);
            if !replicas.is_empty() {
                let replaced = replicas.len();
                let deadline_ms = self.world.now_ms() + limits::INTERNAL_CALL_TIMEOUT_MS;
                let action = Action::ReplaceReplicas { broker: self.node.config.node, replicas };
                if let Ok(reply) = self.controller_call(action, deadline_ms).await {
                    self.await_image(deadline_ms, |image| image.offset >= reply.at).await;
                    tracing::warn!(
                        node = self.node.config.node.0,
                        replaced,
                        "damaged replicas are replaced by new ones, which begin empty"
                    );
                    count(&self.node.counters.replicas_replaced);
                }
            }
            let pause_ms = self.world.now_ms() + limits::REPAIR_PAUSE_MS;
            until(&*self.world, pause_ms, view_changes.changed()).await;
        }
    }

    /// Whether the partition still counts on this very member, on this disk.
    fn is_member(&self, image: &MetaImage, key: PartitionKey, generation: u32) -> bool {
        let member = image.assignment(key).and_then(|assignment| assignment.member(self.node.config.node));
        let own = self.node.founding(|founding| founding.directory());
        member.is_some_and(|member| member.generation == generation && Some(member.directory) == own)
    }

    /// The damaged replicas whose peers do without them, within the bound of a command.
    fn replaceable(&self, image: &MetaImage) -> Vec<DamagedReplica> {
        let own = self.node.config.node;
        if !self.node.registered_by(image.offset) {
            return Vec::new();
        }
        let now_ms = self.world.now_ms();
        let patience_ms = limits::REPAIR_PATIENCE_TIMEOUTS * self.node.config.peer_timeout_ms;
        let mut due = self.repairs.due.borrow_mut();
        for (key, damaged) in due.iter_mut() {
            let leader = self.node.view(|view| view.leader(*key)).filter(|(leader, _)| *leader != own);
            damaged.led = leader.map(|(_, epoch)| match damaged.led {
                Some((known, since_ms)) if known == epoch => (epoch, since_ms),
                _ => (epoch, now_ms),
            });
        }
        let ready = |(key, damaged): &(&PartitionKey, &Damaged)| {
            let several = image.assignment(**key).is_some_and(|known| known.wanted().count() >= REPLICAS_MIN);
            several && damaged.led.is_some_and(|(_, since_ms)| now_ms >= since_ms + patience_ms)
        };
        let ready = due.iter().filter(ready).take(limits::REPAIRS_PER_COMMAND_MAX);
        ready
            .map(|(key, damaged)| DamagedReplica {
                topic: key.topic,
                partition: key.partition,
                generation: damaged.generation,
            })
            .collect()
    }
}
