//! Directories and names of a [`MemDisk`](super::MemDisk), live and as a power cut would leave them.
//!
//! A partition's directory holds a handful of files, so names sit in a small vector and not in a tree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::file::Node;
use super::random::SplitMix;
use super::{DiskError, lock};
use crate::limits::UNSYNCED_DIRECTORY_OPERATIONS_MAX;

type Names = Vec<(Box<str>, Arc<Node>)>;

#[derive(Debug)]
enum Operation {
    Create(Box<str>, Arc<Node>),
    Remove(Box<str>),
    Rename(Box<str>, Box<str>),
}

#[derive(Debug, Default)]
struct Directory {
    live: Names,
    /// Names as of the last directory sync.
    durable: Names,
    /// What happened since, oldest first.
    unsynced: Vec<Operation>,
    /// Whether the directory itself survives a power cut.
    synced: bool,
}

impl Directory {
    fn record(&mut self, operation: Operation) {
        apply(&mut self.live, &operation);
        self.unsynced.push(operation);
        if self.unsynced.len() > UNSYNCED_DIRECTORY_OPERATIONS_MAX {
            apply(&mut self.durable, &self.unsynced.remove(0));
        }
    }

    /// The first `survivors` unsynced operations become durable, the others never happened.
    fn settle(&mut self, survivors: usize) {
        for operation in self.unsynced.drain(..).take(survivors) {
            apply(&mut self.durable, &operation);
        }
        self.live.clone_from(&self.durable);
    }

    fn find(&self, name: &str) -> Option<&Arc<Node>> {
        self.live.iter().find(|(known, _)| &**known == name).map(|(_, node)| node)
    }
}

fn apply(names: &mut Names, operation: &Operation) {
    match operation {
        Operation::Create(name, node) => {
            names.retain(|(known, _)| known != name);
            names.push((name.clone(), Arc::clone(node)));
        }
        Operation::Remove(name) => names.retain(|(known, _)| known != name),
        Operation::Rename(from, to) => {
            if names.iter().any(|(known, _)| known == from) {
                names.retain(|(known, _)| known != to);
            }
            for (known, _) in names.iter_mut().filter(|(known, _)| known == from) {
                *known = to.clone();
            }
        }
    }
}

/// All directories of a disk.
#[derive(Debug, Default)]
pub(super) struct Tree {
    dirs: BTreeMap<Box<str>, Directory>,
}

impl Tree {
    /// The same directories and files, as if everything had been synced.
    pub(super) fn copy(&self) -> Tree {
        let copy = |directory: &Directory| {
            let file = |(name, node): &(Box<str>, Arc<Node>)| {
                let content = lock(&node.content).copy();
                (name.clone(), Arc::new(Node { content: Mutex::new(content) }))
            };
            let live: Names = directory.live.iter().map(file).collect();
            Directory { durable: live.clone(), live, unsynced: Vec::new(), synced: true }
        };
        Tree { dirs: self.dirs.iter().map(|(name, directory)| (name.clone(), copy(directory))).collect() }
    }

    pub(super) fn dir_names(&self) -> Vec<String> {
        self.dirs.keys().map(|name| name.to_string()).collect()
    }

    pub(super) fn file_names(&self, dir: &str) -> Vec<String> {
        let live = self.dirs.get(dir).map_or(&[][..], |directory| &directory.live);
        let mut names: Vec<String> = live.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    pub(super) fn create_dir(&mut self, dir: &str) {
        self.dirs.entry(dir.into()).or_default();
    }

    /// Removes a directory and returns the bytes that were in it.
    pub(super) fn remove_dir(&mut self, dir: &str) -> u64 {
        self.dirs.remove(dir).map_or(0, |directory| total_bytes(&directory.live))
    }

    pub(super) fn find(&self, dir: &str, name: &str) -> Option<Arc<Node>> {
        self.dirs.get(dir)?.find(name).cloned()
    }

    pub(super) fn create(&mut self, dir: &str, name: &str) -> Result<Arc<Node>, DiskError> {
        let directory =
            self.dirs.get_mut(dir).ok_or_else(|| DiskError::NotFound { file: dir.to_string() })?;
        if directory.find(name).is_some() {
            return Err(DiskError::AlreadyExists { file: format!("{dir}/{name}") });
        }
        let node = Arc::new(Node::default());
        directory.record(Operation::Create(name.into(), Arc::clone(&node)));
        Ok(node)
    }

    /// Removes a file and returns the bytes that were in it.
    pub(super) fn remove(&mut self, dir: &str, name: &str) -> Result<u64, DiskError> {
        let missing = || DiskError::NotFound { file: format!("{dir}/{name}") };
        let directory = self.dirs.get_mut(dir).ok_or_else(missing)?;
        let node = directory.find(name).cloned().ok_or_else(missing)?;
        directory.record(Operation::Remove(name.into()));
        let freed = lock(&node.content).length();
        Ok(freed)
    }

    /// Renames a file and returns the bytes of the one it replaced.
    pub(super) fn rename(&mut self, dir: &str, from: &str, to: &str) -> Result<u64, DiskError> {
        let missing = || DiskError::NotFound { file: format!("{dir}/{from}") };
        let directory = self.dirs.get_mut(dir).ok_or_else(missing)?;
        directory.find(from).ok_or_else(missing)?;
        let freed = directory.find(to).map_or(0, |node| lock(&node.content).length());
        directory.record(Operation::Rename(from.into(), to.into()));
        Ok(freed)
    }

    pub(super) fn sync_dir(&mut self, dir: &str) {
        if let Some(directory) = self.dirs.get_mut(dir) {
            directory.synced = true;
            directory.settle(usize::MAX);
        }
    }

    pub(super) fn crash_drop(&mut self) {
        self.dirs.retain(|_, directory| directory.synced);
        for directory in self.dirs.values_mut() {
            directory.settle(0);
            for (_, node) in &directory.live {
                lock(&node.content).crash_drop();
            }
        }
    }

    pub(super) fn crash_torn(&mut self, random: &mut SplitMix) {
        self.dirs.retain(|_, directory| directory.synced || random.below(2) == 0);
        for directory in self.dirs.values_mut() {
            directory.synced = true;
            let survivors = random.below(directory.unsynced.len() as u64 + 1);
            directory.settle(usize::try_from(survivors).unwrap_or(usize::MAX));
            for (_, node) in &directory.live {
                lock(&node.content).crash_torn(random);
            }
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.dirs.values().map(|directory| total_bytes(&directory.live)).sum()
    }

    /// Directory, name and synced bytes of every file that `covers` takes, in the order of their paths.
    pub(super) fn synced_bytes(&self, covers: impl Fn(&str) -> bool) -> Vec<(String, String, u64)> {
        let mut files = Vec::new();
        for (dir, directory) in &self.dirs {
            let names = directory.live.iter().filter(|(name, _)| covers(&format!("{dir}/{name}")));
            files.extend(
                names.map(|(name, node)| {
                    (dir.to_string(), name.to_string(), lock(&node.content).synced_bytes())
                }),
            );
        }
        files.sort();
        files
    }

    pub(super) fn unsynced_bytes(&self) -> u64 {
        let files = self.dirs.values().flat_map(|directory| &directory.live);
        files.map(|(_, node)| lock(&node.content).unsynced_bytes()).sum()
    }
}

fn total_bytes(names: &Names) -> u64 {
    names.iter().map(|(_, node)| lock(&node.content).length()).sum()
}
