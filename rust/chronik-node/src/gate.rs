//! A node's life as its tasks see it: running, frozen or over; and whose log lines they write.
//!
//! Every task of a node is wrapped in `Seated`. While the node is frozen its tasks are not polled: sockets stay open,
//! nothing is read, nothing is answered, timers pass unnoticed. Killing a node drops all of its tasks, and with them
//! its sockets.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::logs::{LogScope, NodeLog};

/// The life of one node on one shard, from start to kill.
pub(crate) struct Life {
    log: Arc<NodeLog>,
    frozen: Cell<bool>,
    /// Raised by every freeze, so that a task leaves its waker once per freeze.
    freezes: Cell<u64>,
    asleep: RefCell<Vec<Waker>>,
    tasks: RefCell<BTreeMap<u64, AbortHandle>>,
    next_task: Cell<u64>,
    task_ended: Notify,
}

impl Life {
    /// A life that has just begun.
    pub(crate) fn new(log: Arc<NodeLog>) -> Rc<Life> {
        Rc::new(Life {
            log,
            frozen: Cell::new(false),
            freezes: Cell::new(0),
            asleep: RefCell::new(Vec::new()),
            tasks: RefCell::new(BTreeMap::new()),
            next_task: Cell::new(0),
            task_ended: Notify::new(),
        })
    }

    /// Runs `future` on this shard as part of the node.
    pub(crate) fn spawn(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) {
        let number = self.next_task.replace(self.next_task.get() + 1);
        let seated = Seated { life: Rc::clone(self), number, asleep_since: 0, future: Box::pin(future) };
        let handle = tokio::task::spawn_local(seated);
        self.tasks.borrow_mut().insert(number, handle.abort_handle());
    }

    /// Log lines written while the guard lives are this node's.
    pub(crate) fn log_scope(&self) -> LogScope {
        LogScope::enter(&self.log)
    }

    /// Stops or resumes all tasks.
    pub(crate) fn set_frozen(&self, frozen: bool) {
        if frozen && !self.frozen.get() {
            self.freezes.set(self.freezes.get() + 1);
        }
        self.frozen.set(frozen);
        if !frozen {
            for waker in self.asleep.take() {
                waker.wake();
            }
        }
    }

    /// Whether the node is frozen.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.get()
    }

    /// Ends every task and returns when all of them, and what they owned, are gone.
    pub(crate) async fn end(&self) {
        loop {
            let ended = self.task_ended.notified();
            for handle in self.tasks.borrow().values() {
                handle.abort();
            }
            if self.tasks.borrow().is_empty() {
                return;
            }
            ended.await;
        }
    }
}

/// A task of a node.
struct Seated {
    life: Rc<Life>,
    number: u64,
    asleep_since: u64,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Future for Seated {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.life.is_frozen() {
            let freeze = this.life.freezes.get();
            if this.asleep_since != freeze {
                this.asleep_since = freeze;
                this.life.asleep.borrow_mut().push(context.waker().clone());
            }
            return Poll::Pending;
        }
        let _scope = this.life.log_scope();
        this.future.as_mut().poll(context)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.life.tasks.borrow_mut().remove(&self.number);
        self.life.task_ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::{Builder, LocalOptions};

    fn run(test: impl Future<Output = ()>) {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(test);
    }

    fn life() -> Rc<Life> {
        Life::new(NodeLog::new("test", None))
    }

    #[test]
    fn a_frozen_task_does_not_run_and_goes_on_after_the_thaw() {
        run(async {
            let life = life();
            let (steps, bell) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
            let (task_steps, task_bell) = (Rc::clone(&steps), Rc::clone(&bell));
            life.spawn(async move {
                loop {
                    task_bell.notified().await;
                    task_steps.set(task_steps.get() + 1);
                }
            });
            life.set_frozen(true);
            for _ in 0..10 {
                bell.notify_one();
                tokio::task::yield_now().await;
            }
            assert_eq!(steps.get(), 0);
            assert!(life.asleep.borrow().len() <= 1, "one waker per task and freeze");
            life.set_frozen(false);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(steps.get() >= 1);
            life.end().await;
        });
    }

    #[test]
    fn ending_a_life_drops_what_its_tasks_own() {
        run(async {
            let life = life();
            let owned = Rc::new(());
            for _ in 0..5 {
                let held = Rc::clone(&owned);
                life.spawn(async move {
                    std::future::pending::<()>().await;
                    drop(held);
                });
            }
            tokio::task::yield_now().await;
            life.end().await;
            assert_eq!(Rc::strong_count(&owned), 1);
            assert!(life.tasks.borrow().is_empty());
        });
    }
}
