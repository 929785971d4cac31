//! The turn: the one task that drives every host of a shard.
//!
//! It runs behind everything that was ready to run before it: connections have been read and requests appended, then
//! one pass takes a `ready()` of every dirty group, carries its messages, and goes round until nothing moves. In one
//! process an append is so replicated, committed and applied at the leader in one poll of this task. Then the answers
//! are written, and the followers hear of the commit.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use chronik_broker::PeerMessage;
use tokio::time::{Instant, Sleep};

use super::Shard;
use super::port::Event;
use super::seat::Seat;
use crate::limits;

/// Far enough not to matter, near enough not to overflow.
const NEVER: Duration = Duration::from_secs(86_400);

/// When the shard's clocks strike next, in monotonic milliseconds.
struct Strikes {
    /// `None` while every group sleeps.
    tick_ms: Option<u64>,
    beat_ms: u64,
    retention_ms: u64,
}

impl Shard {
    /// Drives the shard for as long as it exists.
    pub(super) async fn run(self: Rc<Self>) {
        let now_ms = self.config.clock.now_ms();
        let mut strikes = Strikes {
            tick_ms: None,
            beat_ms: now_ms + self.config.profile.beat_ms,
            retention_ms: now_ms + self.config.profile.retention_check_ms,
        };
        let mut timer = pin!(tokio::time::sleep(NEVER));
        loop {
            tokio::select! {
                biased;
                () = self.port.woken() => {}
                () = timer.as_mut() => {}
            }
            let now_ms = self.config.clock.now_ms();
            self.take_events();
            self.strike(&mut strikes, now_ms);
            if !self.turn(now_ms) {
                // Connections must not starve behind a busy shard.
                self.port.wake();
                tokio::task::yield_now().await;
            }
            self.check_awaited();
            self.set_timer(&mut strikes, timer.as_mut());
            if timer.deadline() <= Instant::now() {
                // The turn took as long as the time to the next strike. Without this the timer would be there at once, and
                // turn follow turn with nobody else served.
                tokio::task::yield_now().await;
            }
        }
    }

    fn take_events(self: &Rc<Self>) {
        for event in self.port.take() {
            match event {
                Event::Synced { node, incarnation, report } => {
                    if let Some(seat) = self.seat(node).filter(|seat| seat.incarnation() == incarnation) {
                        seat.on_synced(report);
                    }
                }
                Event::Compacted { node, incarnation, report } => {
                    if let Some(seat) = self.seat(node).filter(|seat| seat.incarnation() == incarnation) {
                        seat.on_compacted(report);
                    }
                }
                Event::HostTask(node, task) => {
                    if let Some(seat) = self.seat(node) {
                        let _scope = seat.life.log_scope();
                        task(&mut seat.host.borrow_mut());
                    }
                }
                Event::Deliver(from, to, message) => self.deliver(from, to, message),
                Event::Carry(from, to, message) => self.carry(from, to, message),
                Event::Run(work) => work(self),
            }
        }
    }

    /// Ticks, beats, retention and delayed messages whose time has come. After a pause each comes once, not as often
    /// as it was missed.
    fn strike(&self, strikes: &mut Strikes, now_ms: u64) {
        let seats = self.seats.borrow();
        let awake = || seats.iter().filter(|seat| !seat.life.is_frozen());
        if strikes.tick_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            awake().for_each(|seat| seat.tick(now_ms));
            strikes.tick_ms =
                Some(next_strike(strikes.tick_ms.unwrap_or(now_ms), self.config.profile.tick_ms, now_ms));
        }
        if strikes.beat_ms <= now_ms {
            let late = now_ms - strikes.beat_ms > self.config.profile.beat_ms;
            awake().for_each(|seat| seat.beat(now_ms, late));
            strikes.beat_ms = next_strike(strikes.beat_ms, self.config.profile.beat_ms, now_ms);
        }
        if strikes.retention_ms <= now_ms {
            let wall_ms = self.config.clock.wall_ms();
            awake().for_each(|seat| seat.run_retention(wall_ms));
            strikes.retention_ms =
                next_strike(strikes.retention_ms, self.config.profile.retention_check_ms, now_ms);
        }
        drop(seats);
        loop {
            // Not in the loop's head: what arrives may send again, onto the same table.
            let arrived = self.delayed.borrow_mut().pop(now_ms);
            let Some(travelling) = arrived else { break };
            self.carry(travelling.from, travelling.to, travelling.message);
        }
    }

    /// Passes over all nodes until nothing moves. False if something is left to do: also when a node has applied
    /// something, since then answers are ready, and what the other nodes have to do for it can wait until they are
    /// written.
    fn turn(&self, now_ms: u64) -> bool {
        let seats = self.seats.borrow();
        let awake = || seats.iter().filter(|seat| !seat.life.is_frozen());
        // A thawed node takes a little of its backlog per turn, so that its clients get in between.
        let mut backlogged = false;
        awake().for_each(|seat| backlogged |= seat.catch_up());
        for _ in 0..limits::TURN_PASSES_MAX {
            let mut moved = false;
            for seat in awake() {
                let applied = seat.applied();
                moved |= self.pass(seat, now_ms);
                if seat.applied() != applied {
                    return false;
                }
            }
            if !moved {
                return !backlogged;
            }
        }
        false
    }

    /// One node's part of a pass. True if it did anything.
    fn pass(&self, seat: &Seat, now_ms: u64) -> bool {
        let mut moved = false;
        if let Some(output) = seat.turn(now_ms) {
            moved = true;
            seat.counters.edge.turns.add(1);
            for (to, key, message) in output.messages {
                self.send(seat, to, PeerMessage::Replica(key, message), now_ms);
            }
        }
        for (to, message) in seat.take_node_messages() {
            moved = true;
            self.send(seat, to, PeerMessage::Node(message), now_ms);
        }
        moved
    }

    fn check_awaited(&self) {
        if self.awaited.borrow().is_empty() {
            return;
        }
        let awaited = self.awaited.take();
        for waiting in awaited {
            if waiting.done.is_closed() {
                continue;
            }
            if (waiting.holds)(self) {
                // The waiter may have gone between the check and now.
                let _ = waiting.done.send(());
            } else {
                self.awaited.borrow_mut().push(waiting);
            }
        }
    }

    fn set_timer(&self, strikes: &mut Strikes, mut timer: Pin<&mut Sleep>) {
        let seats = self.seats.borrow();
        let needs_ticks = seats.iter().any(|seat| !seat.life.is_frozen() && seat.host.borrow().needs_ticks());
        if !needs_ticks {
            strikes.tick_ms = None;
        } else if strikes.tick_ms.is_none() {
            strikes.tick_ms = Some(self.config.clock.now_ms() + self.config.profile.tick_ms);
        }
        let mut next_ms = strikes.tick_ms;
        let mut sooner = |at_ms: Option<u64>| {
            next_ms = match (next_ms, at_ms) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        };
        // Whoever listens for peers may get some.
        let several = |seat: &Rc<Seat>| seat.state.config.voters.len() > 1 || seat.peers.borrow().is_some();
        if seats.len() > 1 || seats.iter().any(several) {
            sooner(Some(strikes.beat_ms));
        }
        if !seats.is_empty() {
            sooner(Some(strikes.retention_ms));
        }
        sooner(self.delayed.borrow().next_arrival());
        let deadline = match next_ms {
            Some(at_ms) => self.config.clock.instant(at_ms),
            None => Instant::now() + NEVER,
        };
        if timer.deadline() != deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
    }
}

/// The strike after this one: in step if possible, one interval from now after a pause.
fn next_strike(struck_ms: u64, interval_ms: u64, now_ms: u64) -> u64 {
    let in_step = struck_ms + interval_ms;
    if in_step > now_ms { in_step } else { now_ms + interval_ms }
}
