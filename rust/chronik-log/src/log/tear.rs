//! Tells what a power cut leaves of unsynced bytes from what only damage leaves.
//!
//! A file system writes whole sectors, in any order, and grows a file when it pleases: bytes that never arrived are
//! missing at the end, or read as zeros from one sector border to the next. Must not decide what follows from that.

use crate::disk::{DiskError, DiskFile};
use crate::limits::{SCAN_WINDOW_BYTES, SECTOR_BYTES};

/// Whether part of the `length` bytes at `position` never reached the file, as far as anybody can tell.
pub(super) fn explains(file: &dyn DiskFile, position: u64, length: u64) -> Result<bool, DiskError> {
    let end = position.saturating_add(length);
    if end > file.len() {
        return Ok(true);
    }
    let mut from = position;
    while from < end {
        // Windows end at sector borders, so that no piece is looked at in two halves.
        let border = from - from % SECTOR_BYTES + SCAN_WINDOW_BYTES as u64;
        let size = usize::try_from(border.min(end) - from).unwrap_or(SCAN_WINDOW_BYTES);
        let window = file.read_at(from, size, size)?;
        if has_lost_sector(from, &window) {
            return Ok(true);
        }
        from += size as u64;
    }
    Ok(false)
}

/// Whether sector borders cut a piece out of `bytes`, which lie at `position`, that is all zeros.
fn has_lost_sector(position: u64, bytes: &[u8]) -> bool {
    let to_border = usize::try_from(SECTOR_BYTES - position % SECTOR_BYTES).unwrap_or(usize::MAX);
    let (first, rest) = bytes.split_at(to_border.min(bytes.len()));
    std::iter::once(first)
        .chain(rest.chunks(SECTOR_BYTES as usize))
        .any(|piece| !piece.is_empty() && piece.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::disk::{Disk, MemDisk};

    #[test]
    fn a_tear_is_a_missing_end_or_a_piece_of_zeros_between_sector_borders() {
        let disk = MemDisk::new();
        disk.create_dir("p").unwrap();
        let file = disk.create("p", "f").unwrap();
        let mut bytes = vec![1; 3000];
        bytes[1024..1536].fill(0);
        bytes[2000..2048].fill(0);
        bytes[2100..2500].fill(0);
        file.append(&[Bytes::from(bytes)]).unwrap();
        let explains = |from, to| explains(&*file, from, to - from).unwrap();
        assert!(explains(2900, 3001), "the file ends too early");
        assert!(!explains(2900, 3000) && !explains(0, 1024));
        assert!(explains(1000, 1600) && explains(1400, 1600), "a whole sector");
        assert!(
            explains(2000, 2060),
            "written after what is before it, in a sector that was not written again"
        );
        assert!(!explains(1999, 2060), "its sector holds a byte of it");
        assert!(!explains(2048, 2560), "no write begins or ends inside it");
    }
}
