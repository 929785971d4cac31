//! What each fault does when it begins and when it ends.

use chronik_log::{DiskFault, FaultPlan, FileScope, MemDisk, UnsyncedPolicy};
use chronik_replica::ReplicaError;
use chronik_wire::types::{NodeId, PartitionKey};

use super::{Rewind, Simulation};
use crate::network::Link;
use crate::node::DISK_RESERVE_BYTES;
use crate::plan::{CutShape, DiskOperation, FaultKind, Target, Unsynced};
use crate::switchboard::Event;

/// Until a crash is known to the others, where they are told, in microseconds.
const NEWS_US: u64 = 300;

impl Simulation {
    pub(super) fn begin_fault(&mut self, number: usize) {
        let Some(fault) = self.plan.faults.get(number).cloned() else { return };
        if self.calm {
            return;
        }
        let victims = self.victims_of(&fault.kind);
        let played = match &fault.kind {
            FaultKind::Crash { after_changes: Some(changes), unsynced, .. } => {
                self.arm(&victims, *changes, *unsynced)
            }
            FaultKind::Crash { unsynced, told, .. } => self.crash(&victims, *unsynced, *told),
            FaultKind::PowerCut { unsynced } => self.crash(&victims, *unsynced, false),
            FaultKind::Pause { .. } => self.pause(number, &victims),
            FaultKind::Cut { shape } => self.cut(number, *shape, &victims),
            FaultKind::Noise(noise) => {
                self.network.add_noise(number, *noise);
                true
            }
            FaultKind::SlowDisk { sync_us, .. } => self.for_each(&victims, |seat| seat.sync_us = *sync_us),
            FaultKind::SlowNode { turn_us, .. } => self.set_turn_us(&victims, *turn_us),
            FaultKind::FullDisk { room_bytes, .. } => self.for_each(&victims, |seat| {
                seat.disk.set_quota(Some(seat.disk.used_bytes() + DISK_RESERVE_BYTES + room_bytes));
            }),
            FaultKind::SyncError { syncs, .. } => {
                self.for_each(&victims, |seat| seat.disk.fail_next_syncs(*syncs))
            }
            FaultKind::BadDisk { operation, times, .. } => {
                let fault = disk_fault(*operation);
                let (scope, times) = (FileScope::everywhere(), *times);
                self.for_each(&victims, |seat| {
                    seat.disk.inject(FaultPlan { fault, scope: scope.clone(), skip: 0, times });
                })
            }
            FaultKind::BitFlip { .. } => self.damage(&victims, Simulation::flip),
            FaultKind::Wipe { .. } => {
                let wiped = self.damage(&victims, Simulation::wipe);
                victims.iter().filter(|_| wiped).for_each(|id| self.auditor.on_wiped(*id));
                wiped
            }
            FaultKind::ClockJump { by_ms, .. } => self.for_each(&victims, |seat| seat.clock.jump(*by_ms)),
            FaultKind::Transfer { partition, to } => self.transfer(*partition, NodeId(*to)),
            FaultKind::Rewind => self.rewind.replace(Rewind::Take).is_none(),
            FaultKind::AddNode => self.add_node(),
            FaultKind::RemoveNode { node } => self.remove_node(NodeId(*node)),
            FaultKind::Reassign { partition, without } => self.reassign(*partition, NodeId(*without)),
        };
        if !played {
            return;
        }
        self.board.tell(|| {
            format!("FAULT {number}: {}, nodes {victims:?}, for {} ms", fault.kind.name(), fault.for_ms)
        });
        *self.faults_played.entry(fault.kind.name()).or_default() += 1;
        self.note(7, number as u64, victims.len() as u64);
        self.victims.insert(number, victims);
        self.board.after(fault.for_ms * 1_000, Event::FaultEnds(number));
    }

    pub(super) fn end_fault(&mut self, number: usize) {
        let Some(fault) = self.plan.faults.get(number).cloned() else { return };
        let Some(victims) = self.victims.remove(&number) else { return };
        self.board.tell(|| format!("fault {number} ends: {}", fault.kind.name()));
        self.note(8, number as u64, 0);
        let (sync_us, turn_us) = (self.plan.cluster.sync_us, self.plan.cluster.turn_us);
        match fault.kind {
            FaultKind::Crash { .. } | FaultKind::BitFlip { .. } | FaultKind::Wipe { .. } => {
                for id in victims {
                    // The power may not have gone yet, where it waited for changes that nobody made.
                    self.disarm(id);
                    self.start(id);
                    if let FaultKind::Wipe { readmitted, .. } = fault.kind
                        && (readmitted || !self.follows_when_wiped(id))
                    {
                        self.readmit(id);
                    }
                }
            }
            FaultKind::PowerCut { .. } => {
                for id in victims {
                    let after_us = self.random.below(2_000_000);
                    self.board.after(after_us, Event::Start(id));
                }
            }
            FaultKind::Pause { .. } => victims.into_iter().for_each(|id| self.unpause(number, id)),
            FaultKind::Cut { .. } | FaultKind::Noise(_) => self.network.heal(number),
            FaultKind::SlowDisk { .. } => {
                self.for_each(&victims, |seat| seat.sync_us = sync_us);
            }
            FaultKind::SlowNode { .. } => {
                self.set_turn_us(&victims, turn_us);
            }
            FaultKind::FullDisk { .. } => {
                self.for_each(&victims, |seat| seat.disk.set_quota(None));
            }
            FaultKind::SyncError { .. } | FaultKind::BadDisk { .. } => {
                self.for_each(&victims, |seat| {
                    seat.disk.fail_next_syncs(0);
                    seat.disk.clear_faults();
                });
                self.restart_if_stopped(&victims);
            }
            FaultKind::Rewind if self.calm => {}
            FaultKind::Rewind => self.rewind = Some(Rewind::PutBack),
            FaultKind::ClockJump { .. }
            | FaultKind::Transfer { .. }
            | FaultKind::AddNode
            | FaultKind::RemoveNode { .. }
            | FaultKind::Reassign { .. } => {}
        }
    }

    /// No fault begins from now on, and those under way end, but for nodes that cannot come back.
    pub(crate) fn heal(&mut self) {
        self.calm = true;
        for number in self.victims.keys().copied().collect::<Vec<_>>() {
            self.end_fault(number);
        }
        self.network.heal_all();
        let ids = self.ids();
        self.restart_if_stopped(&ids);
        ids.into_iter().for_each(|id| self.start(id));
    }

    fn victims_of(&mut self, kind: &FaultKind) -> Vec<NodeId> {
        let target = match kind {
            FaultKind::Crash { target, .. }
            | FaultKind::Pause { target }
            | FaultKind::SlowDisk { target, .. }
            | FaultKind::SlowNode { target, .. }
            | FaultKind::FullDisk { target, .. }
            | FaultKind::SyncError { target, .. }
            | FaultKind::BadDisk { target, .. }
            | FaultKind::BitFlip { target }
            | FaultKind::Wipe { target, .. }
            | FaultKind::ClockJump { target, .. } => Some(*target),
            FaultKind::Cut { shape } => match shape {
                CutShape::Isolate(target) | CutShape::Deaf(target) | CutShape::Mute(target) => Some(*target),
                CutShape::Bridge(id) => Some(Target::Node(*id)),
                CutShape::Pair(one, other) | CutShape::OneWay(one, other) => {
                    return vec![NodeId(*one), NodeId(*other)];
                }
                CutShape::Ring => return self.ids(),
            },
            FaultKind::PowerCut { .. } => return self.running(),
            FaultKind::RemoveNode { node } => Some(Target::Node(*node)),
            FaultKind::Noise(_)
            | FaultKind::Transfer { .. }
            | FaultKind::Rewind
            | FaultKind::AddNode
            | FaultKind::Reassign { .. } => None,
        };
        target.and_then(|target| self.resolve(target)).into_iter().collect()
    }

    fn resolve(&self, target: Target) -> Option<NodeId> {
        match target {
            Target::Node(id) => Some(NodeId(id)),
            Target::LeaderOf(place) => {
                let keys = self.partitions();
                let key = keys.get(place % keys.len().max(1)).copied().unwrap_or(PartitionKey::META);
                self.leader(key)
            }
        }
    }

    pub(super) fn running(&self) -> Vec<NodeId> {
        self.seats.iter().filter(|(_, seat)| seat.running.is_some()).map(|(id, _)| *id).collect()
    }

    fn for_each(&mut self, victims: &[NodeId], mut change: impl FnMut(&mut super::Seat)) -> bool {
        for id in victims {
            if let Some(seat) = self.seats.get_mut(id) {
                change(seat);
            }
        }
        !victims.is_empty()
    }

    fn crash(&mut self, victims: &[NodeId], unsynced: Unsynced, told: bool) -> bool {
        let mut any = false;
        for id in victims {
            let policy = self.policy(unsynced);
            any |= self.stop(*id, policy);
            if told {
                self.tell_of_death(*id);
            }
        }
        any
    }

    fn policy(&mut self, unsynced: Unsynced) -> UnsyncedPolicy {
        match unsynced {
            Unsynced::Drop => UnsyncedPolicy::Drop,
            Unsynced::Torn => UnsyncedPolicy::Torn { seed: self.random.next_u64() },
            Unsynced::Keep => UnsyncedPolicy::Keep,
        }
    }

    /// The power of a node goes soon, whatever it is doing then.
    fn arm(&mut self, victims: &[NodeId], changes: u64, unsynced: Unsynced) -> bool {
        let policy = self.policy(unsynced);
        self.for_each(victims, |seat| {
            if seat.running.is_some() {
                seat.disk.cut_power_after(changes);
                seat.dying = Some(policy);
            }
        })
    }

    fn disarm(&mut self, id: NodeId) {
        if let Some(policy) = self.seats.get_mut(&id).and_then(|seat| seat.dying.take()) {
            self.stop(id, policy);
        }
    }

    /// The others learn that the process is gone, as they do where its connections close.
    fn tell_of_death(&mut self, dead: NodeId) {
        let later = self.random.below(NEWS_US);
        for (id, seat) in &self.seats {
            if let Some(node) = seat.running.as_ref().filter(|_| *id != dead && seat.frozen_by.is_empty()) {
                let broker = std::rc::Rc::clone(&node.broker);
                let sleep = self.board.sleep(later);
                let news = async move {
                    sleep.await;
                    broker.on_peer_stopped(dead);
                };
                self.board.tasks.borrow().spawn(crate::engine::Owner::Node(*id), Box::pin(news));
            }
        }
    }

    fn pause(&mut self, number: usize, victims: &[NodeId]) -> bool {
        let mut any = false;
        for id in victims {
            if let Some(seat) = self.seats.get_mut(id).filter(|seat| seat.running.is_some()) {
                seat.frozen_by.insert(number);
                self.board.disturb(*id, true);
                any = true;
            }
        }
        any
    }

    fn unpause(&mut self, number: usize, id: NodeId) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if seat.frozen_by.remove(&number) && seat.frozen_by.is_empty() {
            self.resume(id);
        }
    }

    fn cut(&mut self, number: usize, shape: CutShape, victims: &[NodeId]) -> bool {
        let links = self.links_of(shape, victims);
        let now_us = self.board.now_us();
        let any = !links.is_empty();
        self.network.cut(number, links, now_us);
        any
    }

    fn links_of(&self, shape: CutShape, victims: &[NodeId]) -> Vec<Link> {
        let ids = self.ids();
        let count = ids.len();
        let pairs = ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to)));
        let all = pairs.filter(|(from, to)| from != to);
        let hit = |id: &NodeId| victims.contains(id);
        let place = |id: &NodeId| ids.iter().position(|known| known == id).unwrap_or_default();
        let is_cut = |link: &Link| match shape {
            CutShape::Isolate(_) => hit(&link.0) || hit(&link.1),
            CutShape::Deaf(_) => hit(&link.1),
            CutShape::Mute(_) => hit(&link.0),
            CutShape::Pair(..) => hit(&link.0) && hit(&link.1),
            CutShape::OneWay(from, to) => *link == (NodeId(from), NodeId(to)),
            CutShape::Ring => (place(&link.0) + 1) % count != place(&link.1),
            CutShape::Bridge(_) => {
                let left = |id: &NodeId| place(id) < count / 2;
                !hit(&link.0) && !hit(&link.1) && left(&link.0) != left(&link.1)
            }
        };
        all.filter(is_cut).collect()
    }

    fn set_turn_us(&mut self, victims: &[NodeId], turn_us: u64) -> bool {
        let slow = turn_us > self.plan.cluster.turn_us;
        victims.iter().for_each(|id| self.board.disturb(*id, slow));
        self.for_each(victims, |seat| {
            if let Some(node) = &seat.running {
                node.turn_us.set(turn_us);
            }
        })
    }

    /// Damages the disk of a node, if every group then still has a majority of sound disks.
    fn damage(&mut self, victims: &[NodeId], damage: fn(&mut Simulation, &MemDisk) -> bool) -> bool {
        let Some(id) = victims.first().copied() else { return false };
        let allowed = self.seats.get(&id).is_some_and(|seat| seat.damaged) || self.can_be_missed(id);
        if !allowed || !self.stop(id, UnsyncedPolicy::Keep) {
            return false;
        }
        let Some(disk) = self.seats.get(&id).map(|seat| seat.disk.clone()) else { return false };
        let done = damage(self, &disk);
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.damaged |= done;
        }
        true
    }

    fn flip(&mut self, disk: &MemDisk) -> bool {
        disk.flip_random_bit(self.random.next_u64(), &FileScope::everywhere()).is_some()
    }

    fn wipe(&mut self, disk: &MemDisk) -> bool {
        disk.wipe();
        true
    }

    fn transfer(&mut self, place: usize, to: NodeId) -> bool {
        let keys = self.partitions();
        let Some(key) = keys.get(place % keys.len().max(1)).copied() else { return false };
        let Some(leader) = self.leader(key) else { return false };
        let Some(node) = self.seats.get(&leader).and_then(|seat| seat.running.as_ref()) else { return false };
        !self.is_frozen(leader) && node.host.borrow_mut().transfer_leader(key, to).is_ok()
    }

    /// A replica that stopped after a fault of its disk, or could not be opened for one, comes back with its process.
    pub(super) fn restart_if_stopped(&mut self, ids: &[NodeId]) {
        let mut keys = self.partitions();
        keys.push(PartitionKey::META);
        for id in ids {
            let stopped = self.seats.get(id).and_then(|seat| seat.running.as_ref()).is_some_and(|node| {
                let host = node.host.borrow();
                keys.iter().any(|key| match host.view(*key) {
                    Ok(view) => view.stopped,
                    Err(error) => matches!(error, ReplicaError::Stopped { .. }),
                })
            });
            if stopped && self.stop(*id, UnsyncedPolicy::Keep) {
                self.start(*id);
            }
        }
    }
}

fn disk_fault(operation: DiskOperation) -> DiskFault {
    match operation {
        DiskOperation::Open => DiskFault::Open,
        DiskOperation::Read => DiskFault::Read,
        DiskOperation::MisdirectedRead => DiskFault::MisdirectedRead,
        DiskOperation::Write => DiskFault::Write,
        DiskOperation::SyncDir => DiskFault::SyncDir,
    }
}
