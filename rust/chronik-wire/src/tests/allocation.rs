//! The counting allocator of these tests counts.

use crate::testing::allocation::{Counting, peak_bytes};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_sees_what_is_taken_and_given_back() {
    let peak = peak_bytes(|| {
        drop(Vec::<u8>::with_capacity(100_000));
        drop(Vec::<u8>::with_capacity(50_000));
    });
    assert!((100_000..101_000).contains(&peak), "{peak}");
}
