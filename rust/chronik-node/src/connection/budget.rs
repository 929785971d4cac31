//! Memory that requests may take up on one node: each connection holds a share while its requests are unanswered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// Bytes of unanswered requests over all connections of a node.
#[derive(Debug)]
pub(crate) struct RequestBudget {
    used: Cell<usize>,
    max: usize,
    waiting: RefCell<Vec<Waker>>,
    /// Raised whenever those who wait are woken, so that each waits in line once.
    woken: Cell<u64>,
}

impl RequestBudget {
    /// A budget of `max` bytes.
    pub(crate) fn new(max: usize) -> Rc<RequestBudget> {
        Rc::new(RequestBudget {
            used: Cell::new(0),
            max,
            waiting: RefCell::new(Vec::new()),
            woken: Cell::new(1),
        })
    }

    fn change(&self, from: usize, to: usize) {
        let was_full = self.used.get() >= self.max;
        self.used.set(self.used.get() - from + to);
        if was_full && self.used.get() < self.max {
            self.woken.set(self.woken.get() + 1);
            for waker in self.waiting.take() {
                waker.wake();
            }
        }
    }
}

/// What one connection holds of the budget. Given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Rc<RequestBudget>,
    held: usize,
    in_line_since: u64,
}

impl Share {
    /// Holds nothing yet.
    pub(crate) fn new(budget: Rc<RequestBudget>) -> Share {
        Share { budget, held: 0, in_line_since: 0 }
    }

    /// The connection now holds `bytes`.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes != self.held {
            self.budget.change(self.held, bytes);
            self.held = bytes;
        }
    }

    /// Whether more may be read; if not, the task is woken when it may.
    pub(crate) fn has_room(&mut self, context: &Context<'_>) -> bool {
        if self.budget.used.get() < self.budget.max {
            return true;
        }
        if self.in_line_since != self.budget.woken.get() {
            self.in_line_since = self.budget.woken.get();
            self.budget.waiting.borrow_mut().push(context.waker().clone());
        }
        false
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_stops_reading_until_bytes_come_back() {
        let budget = RequestBudget::new(100);
        let (mut one, mut two) = (Share::new(Rc::clone(&budget)), Share::new(Rc::clone(&budget)));
        let context = Context::from_waker(Waker::noop());
        one.set(99);
        assert!(two.has_room(&context));
        one.set(100);
        assert!(!two.has_room(&context));
        assert!(!two.has_room(&context));
        assert_eq!(budget.waiting.borrow().len(), 1);
        drop(one);
        assert!(two.has_room(&context));
        assert!(budget.waiting.borrow().is_empty());
        assert_eq!(budget.used.get(), 0);
    }
}
