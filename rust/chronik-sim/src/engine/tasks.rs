//! Futures of nodes and clients, polled one after the other, of those that are ready the oldest first.
//!
//! Not in the order in which they were woken: channels wake those who wait in an order that is partly random.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use chronik_wire::types::NodeId;

/// Whose future it is: a node's futures stop with the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A node.
    Node(NodeId),
    /// A client, which never stops.
    Client,
}

type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Debug, Default)]
struct ReadyTasks(Mutex<BTreeSet<usize>>);

impl ReadyTasks {
    fn push(&self, id: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn pop(&self) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }
}

struct TaskWake {
    id: usize,
    ready: Arc<ReadyTasks>,
}

impl Wake for TaskWake {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.id);
    }
}

struct Task {
    owner: Owner,
    future: TaskFuture,
    waker: Waker,
}

/// All futures of a simulation. A slot is never used twice, so that a late waker finds nobody.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Vec<Option<Task>>,
    ready: Arc<ReadyTasks>,
    /// Woken while their node was frozen.
    held: Vec<(NodeId, usize)>,
    spawned: RefCell<Vec<(Owner, TaskFuture)>>,
}

impl Tasks {
    /// Takes a future over. It is polled for the first time in the order of spawning.
    pub(crate) fn spawn(&self, owner: Owner, future: TaskFuture) {
        self.spawned.borrow_mut().push((owner, future));
    }

    /// Polls whoever is ready until nobody is. `frozen` says which nodes stand still.
    pub(crate) fn run(this: &RefCell<Tasks>, frozen: impl Fn(NodeId) -> bool) {
        loop {
            this.borrow_mut().adopt();
            let Some((id, mut task)) = this.borrow_mut().take_ready(&frozen) else { return };
            // The table is free while the future runs, so that it may spawn.
            let poll = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
            if poll == Poll::Pending
                && let Some(slot) = this.borrow_mut().slots.get_mut(id)
            {
                *slot = Some(task);
            }
        }
    }

    fn adopt(&mut self) {
        for (owner, future) in self.spawned.take() {
            let id = self.slots.len();
            let waker = Waker::from(Arc::new(TaskWake { id, ready: Arc::clone(&self.ready) }));
            self.slots.push(Some(Task { owner, future, waker }));
            self.ready.push(id);
        }
    }

    fn take_ready(&mut self, frozen: &impl Fn(NodeId) -> bool) -> Option<(usize, Task)> {
        while let Some(id) = self.ready.pop() {
            let Some(slot) = self.slots.get_mut(id) else { continue };
            match slot {
                Some(Task { owner: Owner::Node(node), .. }) if frozen(*node) => self.held.push((*node, id)),
                Some(_) => return slot.take().map(|task| (id, task)),
                None => {}
            }
        }
        None
    }

    /// The node goes on: what was woken meanwhile is ready now.
    pub(crate) fn thaw(&mut self, node: NodeId) {
        let (free, held) = std::mem::take(&mut self.held).into_iter().partition(|(owner, _)| *owner == node);
        self.held = held;
        let free: Vec<(NodeId, usize)> = free;
        free.into_iter().for_each(|(_, id)| self.ready.push(id));
    }

    /// Takes a node's futures out. The caller drops them, which may wake others.
    pub(crate) fn remove(&mut self, node: NodeId) -> Vec<Box<dyn std::any::Any>> {
        self.held.retain(|(held_by, _)| *held_by != node);
        self.remove_all(Owner::Node(node))
    }

    /// Takes the futures of an owner out. The caller drops them, which may wake others.
    pub(crate) fn remove_all(&mut self, owner: Owner) -> Vec<Box<dyn std::any::Any>> {
        self.adopt();
        let mut gone: Vec<Box<dyn std::any::Any>> = Vec::new();
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|task| task.owner == owner)
                && let Some(task) = slot.take()
            {
                gone.push(Box::new(task.future));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_frozen_nodes_futures_wait_and_a_removed_nodes_are_gone() {
        let tasks = RefCell::new(Tasks::default());
        let ran = Rc::new(Cell::new(0));
        for (owner, amount) in
            [(Owner::Node(NodeId(1)), 1), (Owner::Node(NodeId(2)), 10), (Owner::Client, 100)]
        {
            let ran = Rc::clone(&ran);
            tasks.borrow().spawn(owner, Box::pin(async move { ran.set(ran.get() + amount) }));
        }
        Tasks::run(&tasks, |node| node == NodeId(1) || node == NodeId(2));
        assert_eq!(ran.get(), 100);
        assert_eq!(tasks.borrow_mut().remove(NodeId(2)).len(), 1);
        tasks.borrow_mut().thaw(NodeId(1));
        tasks.borrow_mut().thaw(NodeId(2));
        Tasks::run(&tasks, |_| false);
        assert_eq!(ran.get(), 101);
        assert!(tasks.borrow().slots.iter().all(Option::is_none));
    }
}
