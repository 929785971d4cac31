//! What goes wrong on a [`MemDisk`](super::MemDisk), and when: plans that name an operation and the files it
//! concerns, and a power cut in the middle of a turn.
//!
//! Deterministic: an operation fails because of its place in the order of operations. Owns no file. A disk
//! without plans pays one relaxed load per operation.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{DiskError, SplitMix, lock};
use crate::limits::FAULT_PLANS_MAX;

/// An operation that fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskFault {
    /// Opening or creating a file fails, as it does when descriptors run out.
    Open,
    /// A read fails with an I/O error.
    Read,
    /// A read answers with the bytes of another place in the same file. Files too short to have another place are
    /// read as they are.
    MisdirectedRead,
    /// A write fails with an I/O error. The first half of an append has arrived all the same.
    Write,
    /// A sync fails, and the file refuses writes and syncs until the node restarts. What it should have written is
    /// seen until the power goes, and no later sync writes it: the system takes it for clean.
    Sync,
    /// The sync of a directory fails.
    SyncDir,
}

impl DiskFault {
    const ALL: [DiskFault; 6] = [
        DiskFault::Open,
        DiskFault::Read,
        DiskFault::MisdirectedRead,
        DiskFault::Write,
        DiskFault::Sync,
        DiskFault::SyncDir,
    ];
}

/// Which files a fault concerns. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileScope {
    dir: Option<Box<str>>,
    ending: Option<Box<str>>,
}

impl FileScope {
    /// Every file of the disk.
    pub fn everywhere() -> FileScope {
        FileScope::default()
    }

    /// Only the files of one directory.
    #[must_use]
    pub fn in_dir(self, dir: &str) -> FileScope {
        FileScope { dir: Some(dir.into()), ..self }
    }

    /// Only the files whose name ends like this: `.log` are segments, `.bin` snapshots, `state` holds the votes.
    #[must_use]
    pub fn ending(self, ending: &str) -> FileScope {
        FileScope { ending: Some(ending.into()), ..self }
    }

    pub(super) fn covers(&self, path: &str) -> bool {
        let (dir, name) = path.split_once('/').unwrap_or((path, ""));
        self.dir.as_deref().is_none_or(|wanted| wanted == dir)
            && self.ending.as_deref().is_none_or(|ending| name.ends_with(ending))
    }
}

/// A fault to come: of the operations it concerns, `skip` succeed and the next `times` fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// What fails.
    pub fault: DiskFault,
    /// Where.
    pub scope: FileScope,
    /// Operations that still succeed.
    pub skip: u32,
    /// Operations that fail after those.
    pub times: u32,
}

/// The plans of one disk, and its power.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Whether `state` has anything to say.
    armed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plans: Vec<FaultPlan>,
    /// Changes until the power goes; `None` while nothing threatens it.
    changes_left: Option<u64>,
    played: [u64; DiskFault::ALL.len()],
}

impl Faults {
    fn change_state(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let armed = !state.plans.is_empty() || state.changes_left.is_some();
        self.armed.store(armed, Ordering::Relaxed);
    }

    pub(super) fn inject(&self, plan: FaultPlan) {
        self.change_state(|state| {
            assert!(state.plans.len() < FAULT_PLANS_MAX, "a disk takes {FAULT_PLANS_MAX} fault plans");
            state.plans.extend((plan.times > 0).then_some(plan));
        });
    }

    /// No more faults, nor a power cut that has not come yet.
    pub(super) fn clear(&self) {
        self.change_state(|state| {
            state.plans.clear();
            state.changes_left = state.changes_left.filter(|left| *left == 0);
        });
    }

    pub(super) fn played(&self, fault: DiskFault) -> u64 {
        lock(&self.state).played[fault as usize]
    }

    /// The power goes after so many changes more.
    pub(super) fn cut_power_after(&self, changes: u64) {
        self.change_state(|state| state.changes_left = Some(changes));
    }

    pub(super) fn restore_power(&self) {
        self.change_state(|state| state.changes_left = None);
    }

    pub(super) fn power_is_cut(&self) -> bool {
        self.armed.load(Ordering::Relaxed) && lock(&self.state).changes_left == Some(0)
    }

    /// Counts an operation that changes the disk. Refused once the power is gone.
    pub(super) fn admit_change(&self, path: &str) -> Result<(), DiskError> {
        if !self.armed.load(Ordering::Relaxed) {
            return Ok(());
        }
        match &mut lock(&self.state).changes_left {
            None => Ok(()),
            Some(0) => Err(DiskError::Stale { file: path.to_owned() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// An operation that only looks at the disk. Refused once the power is gone.
    pub(super) fn admit_look(&self, path: &str) -> Result<(), DiskError> {
        if self.power_is_cut() {
            return Err(DiskError::Stale { file: path.to_owned() });
        }
        Ok(())
    }

    /// Whether this operation is one that a plan lets fail. Counts it.
    pub(super) fn plays(&self, fault: DiskFault, path: &str) -> bool {
        self.draw(fault, path).is_some()
    }

    /// Like [`plays`](Self::plays), with a generator for the details of the fault.
    pub(super) fn draw(&self, fault: DiskFault, path: &str) -> Option<SplitMix> {
        if !self.armed.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = lock(&self.state);
        let mut plays = false;
        for plan in state.plans.iter_mut().filter(|plan| plan.fault == fault && plan.scope.covers(path)) {
            if plan.skip > 0 {
                plan.skip -= 1;
            } else if plan.times > 0 && !plays {
                plan.times -= 1;
                plays = true;
            }
        }
        if !plays {
            return None;
        }
        state.plans.retain(|plan| plan.times > 0);
        let played = &mut state.played[fault as usize];
        *played += 1;
        Some(SplitMix::new(*played))
    }

    /// Fails if a plan says so: what the operating system would answer.
    pub(super) fn check(&self, fault: DiskFault, action: &'static str, path: &str) -> Result<(), DiskError> {
        if !self.plays(fault, path) {
            return Ok(());
        }
        let code = match fault {
            DiskFault::Open => rustix::io::Errno::MFILE,
            _ => rustix::io::Errno::IO,
        };
        let source = io::Error::from_raw_os_error(code.raw_os_error());
        Err(DiskError::Io { file: path.to_owned(), action, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_names_directories_and_endings() {
        let segments = FileScope::everywhere().in_dir("a").ending(".log");
        assert!(segments.covers("a/1.log"));
        assert!(!segments.covers("b/1.log") && !segments.covers("a/state"));
        assert!(FileScope::everywhere().covers("a/state"));
    }

    #[test]
    fn a_plan_skips_then_plays_then_is_gone() {
        let faults = Faults::default();
        let plan = FaultPlan { fault: DiskFault::Read, scope: FileScope::everywhere(), skip: 2, times: 2 };
        faults.inject(plan);
        let played: Vec<bool> = (0..6).map(|_| faults.plays(DiskFault::Read, "a/b")).collect();
        assert_eq!(played, [false, false, true, true, false, false]);
        assert_eq!((faults.played(DiskFault::Read), faults.played(DiskFault::Write)), (2, 0));
        assert!(lock(&faults.state).plans.is_empty());
    }

    #[test]
    fn the_order_of_kinds_is_their_place_in_the_counters() {
        for (at, fault) in DiskFault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
        }
    }
}
