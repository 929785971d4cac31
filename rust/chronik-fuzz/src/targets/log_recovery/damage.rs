//! What happens to the files of a log while nobody looks.

use bytes::Bytes;
use chronik_log::{Disk, MemDisk};

use crate::input::Input;

/// Kinds of damage.
pub(super) const KINDS: usize = 8;

/// An entry header in a segment begins with this and the checksum of its place and of what follows.
const ENTRY_MAGIC: [u8; 4] = [0xC4, 0x0E, 0x1F, 0xE7];
const ENTRY_HEADER_BYTES: usize = 64;
/// The state file.
const SLOTS: usize = 2;
const SLOT_BYTES: usize = 72;
const SLOT_STRIDE_BYTES: usize = 512;
const SEGMENT_HEADER_BYTES: usize = 48;

/// Which promises the damage has voided.
#[derive(Debug, Default)]
pub(super) struct Damaged {
    segment: bool,
    /// The state file or a snapshot, which say how much was synced and where the log begins.
    pub(super) state: bool,
    /// A checksum was made to fit.
    pub(super) forged: bool,
}

impl Damaged {
    /// Whether anything was damaged.
    pub(super) fn any(&self) -> bool {
        self.segment || self.state
    }
}

/// Damages one file in one way, as the input says.
pub(super) fn apply(input: &mut Input<'_>, disk: &MemDisk, dir: &str, damaged: &mut Damaged) {
    let kind = input.below(KINDS);
    let names = disk.list(dir).unwrap_or_default();
    let victim = input.below(names.len());
    let Some(name) = names.get(victim) else { return };
    let mut bytes = content(disk, dir, name);
    let at = usize::from(input.u16()) % (bytes.len() + 1);
    match kind {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << input.below(8);
            }
        }
        1 => bytes.truncate(at),
        2 => {
            let end = bytes.len().min(at + usize::from(input.byte()));
            bytes[at..end].fill(0);
        }
        3 => {
            let count = input.below(80);
            bytes.splice(at..at, input.take(count).iter().copied());
        }
        4 => {
            mark(damaged, name);
            // A file that is listed can be removed.
            let _ = disk.remove(dir, name);
            return;
        }
        5 => {
            let other = &names[(victim + 1) % names.len()];
            let other_bytes = content(disk, dir, other);
            mark(damaged, other);
            replace(disk, dir, other, bytes);
            bytes = other_bytes;
        }
        _ => {
            for (target, byte) in bytes[at..].iter_mut().zip(input.take(1 + usize::from(kind == 7) * 7)) {
                *target = *byte;
            }
            damaged.forged = true;
            seal(name, &mut bytes);
        }
    }
    mark(damaged, name);
    replace(disk, dir, name, bytes);
}

fn mark(damaged: &mut Damaged, name: &str) {
    if name.ends_with(".log") { damaged.segment = true } else { damaged.state = true }
}

fn content(disk: &MemDisk, dir: &str, name: &str) -> Vec<u8> {
    let file = disk.open(dir, name).expect("a file that is listed can be opened");
    let length = file.len() as usize;
    file.read_at(0, length, length).expect("its bytes can be read").to_vec()
}

fn replace(disk: &MemDisk, dir: &str, name: &str, bytes: Vec<u8>) {
    let file = disk.open(dir, name).expect("a file that is listed can be opened");
    file.truncate(0).expect("the disk works");
    file.append(&[Bytes::from(bytes)]).expect("the disk works");
    file.sync().expect("the disk works");
}

/// Makes every checksum that covers a header fit again.
fn seal(name: &str, bytes: &mut [u8]) {
    if let Some((generation, first_index)) = segment_name(name) {
        if let Some(header) = bytes.get_mut(..SEGMENT_HEADER_BYTES) {
            put_checksum(header, 8, &[]);
        }
        for at in 0..bytes.len().saturating_sub(ENTRY_HEADER_BYTES) {
            if bytes[at..].starts_with(&ENTRY_MAGIC) {
                let header = &mut bytes[at..at + ENTRY_HEADER_BYTES];
                put_checksum(header, 4, &[generation, first_index, at as u64]);
            }
        }
    } else if name.ends_with(".bin") {
        put_checksum(bytes, 8, &[]);
    } else {
        for slot in 0..SLOTS {
            let start = slot * SLOT_STRIDE_BYTES;
            if let Some(slot_bytes) = bytes.get_mut(start..start + SLOT_BYTES) {
                put_checksum(slot_bytes, 4, &[slot as u64]);
            }
        }
    }
}

/// Generation and first index, from the name of a segment.
fn segment_name(name: &str) -> Option<(u64, u64)> {
    let (generation, first_index) = name.strip_suffix(".log")?.split_once('-')?;
    Some((u64::from_str_radix(generation, 16).ok()?, first_index.parse().ok()?))
}

/// Writes at `at` the checksum of `place` and of everything behind.
fn put_checksum(bytes: &mut [u8], at: usize, place: &[u64]) {
    if bytes.len() > at + 4 {
        let mut covered: Vec<u8> = place.iter().flat_map(|number| number.to_be_bytes()).collect();
        covered.extend_from_slice(&bytes[at + 4..]);
        bytes[at..at + 4].copy_from_slice(&crc_fast::crc32_iscsi(&covered).to_be_bytes());
    }
}
