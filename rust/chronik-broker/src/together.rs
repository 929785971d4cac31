//! Several things at once, where each waits for somebody else.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

enum Place<F: Future> {
    Waiting(Pin<Box<F>>),
    Done(F::Output),
}

/// Runs the futures side by side, at most `at_once` of them at a time. The results are in their order.
pub(crate) async fn together<F: Future>(
    futures: impl IntoIterator<Item = F>,
    at_once: usize,
) -> Vec<F::Output> {
    let mut results = Vec::new();
    let mut futures = futures.into_iter();
    loop {
        let mut some: Vec<Place<F>> =
            futures.by_ref().take(at_once).map(|future| Place::Waiting(Box::pin(future))).collect();
        if some.is_empty() {
            return results;
        }
        poll_fn(|context| {
            let mut all_done = true;
            for place in &mut some {
                if let Place::Waiting(future) = place {
                    match future.as_mut().poll(context) {
                        Poll::Ready(output) => *place = Place::Done(output),
                        Poll::Pending => all_done = false,
                    }
                }
            }
            if all_done { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        results.extend(some.into_iter().filter_map(|place| match place {
            Place::Done(output) => Some(output),
            Place::Waiting(_) => None,
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn results_are_in_order_and_no_more_run_than_may() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let gates: Vec<Cell<bool>> = (0..5).map(|_| Cell::new(false)).collect();
        let futures = gates.iter().enumerate().map(|(number, gate)| {
            let (running, most) = (&running, &most);
            async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                poll_fn(|_| if gate.get() { Poll::Ready(()) } else { Poll::Pending }).await;
                running.set(running.get() - 1);
                number
            }
        });
        let mut all = pin!(together(futures, 2));
        let mut context = Context::from_waker(Waker::noop());
        for open in [1, 4, 0, 3] {
            gates[open].set(true);
            assert!(all.as_mut().poll(&mut context).is_pending());
        }
        gates[2].set(true);
        assert_eq!(all.as_mut().poll(&mut context), Poll::Ready(vec![0, 1, 2, 3, 4]));
        assert_eq!((running.get(), most.get()), (0, 2));
    }
}
