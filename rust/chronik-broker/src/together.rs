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
