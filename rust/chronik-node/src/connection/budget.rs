//! Memory that requests may take up on one node: each connection holds a share while its requests are unanswered, and
//! for a large frame while it arrives.
//!
//! Half-received frames alone could fill the budget and wait for each other. So one connection in the middle of a frame
//! may always read on: the frame arrives, or its time runs out.

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
    /// The connection that may finish its frame although the budget is used up.
    excepted: Cell<Option<u64>>,
    next_share: Cell<u64>,
}

impl RequestBudget {
    /// A budget of `max` bytes.
    pub(crate) fn new(max: usize) -> Rc<RequestBudget> {
        Rc::new(RequestBudget {
            used: Cell::new(0),
            max,
            waiting: RefCell::new(Vec::new()),
            woken: Cell::new(1),
            excepted: Cell::new(None),
            next_share: Cell::new(0),
        })
    }

    fn change(&self, from: usize, to: usize) {
        let was_full = self.used.get() >= self.max;
        self.used.set(self.used.get() - from + to);
        if was_full && self.used.get() < self.max {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        self.woken.set(self.woken.get() + 1);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

/// What one connection holds of the budget. Given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    number: u64,
    budget: Rc<RequestBudget>,
    held: usize,
    in_line_since: u64,
}

impl Share {
    /// Holds nothing yet.
    pub(crate) fn new(budget: Rc<RequestBudget>) -> Share {
        let number = budget.next_share.replace(budget.next_share.get() + 1);
        Share { number, budget, held: 0, in_line_since: 0 }
    }

    /// The connection now holds `requests` bytes of whole requests and a buffer of `partial` bytes for a large frame.
    pub(crate) fn set(&mut self, requests: usize, partial: usize) {
        let bytes = requests + partial;
        if bytes != self.held {
            self.budget.change(self.held, bytes);
            self.held = bytes;
        }
        if partial == 0 && self.budget.excepted.get() == Some(self.number) {
            self.budget.excepted.set(None);
            self.budget.wake_all();
        }
    }

    /// Whether more may be read, `in_frame` in the middle of a large frame; if not, the task is woken when it may.
    pub(crate) fn has_room(&mut self, in_frame: bool, context: &Context<'_>) -> bool {
        if self.budget.used.get() < self.budget.max {
            return true;
        }
        if in_frame && self.budget.excepted.get().is_none_or(|number| number == self.number) {
            self.budget.excepted.set(Some(self.number));
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
        self.set(0, 0);
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
        one.set(99, 0);
        assert!(two.has_room(false, &context));
        one.set(100, 0);
        assert!(!two.has_room(false, &context));
        assert!(!two.has_room(false, &context));
        assert_eq!(budget.waiting.borrow().len(), 1);
        drop(one);
        assert!(two.has_room(false, &context));
        assert!(budget.waiting.borrow().is_empty());
        assert_eq!(budget.used.get(), 0);
    }

    #[test]
    fn one_half_received_frame_may_always_go_on() {
        let budget = RequestBudget::new(100);
        let (mut one, mut two) = (Share::new(Rc::clone(&budget)), Share::new(Rc::clone(&budget)));
        let context = Context::from_waker(Waker::noop());
        one.set(0, 60);
        two.set(0, 60);
        assert!(one.has_room(true, &context) && one.has_room(true, &context));
        assert!(!two.has_room(true, &context), "one at a time");
        one.set(70, 0);
        assert!(two.has_room(true, &context), "the frame is there, the next one may go on");
        drop(two);
        one.set(70, 60);
        assert!(one.has_room(true, &context), "an exception ends with its connection");
    }
}
