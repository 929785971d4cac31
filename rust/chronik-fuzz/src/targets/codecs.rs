//! The codecs of record batches: bombs end at their bound, and what we compress we read again.

use bytes::Bytes;
use chronik_wire::batch::{BatchBuilder, BatchView, Compression};
use chronik_wire::limits::{MAX_DECOMPRESSED_BYTES, MAX_DECOMPRESSION_RATIO, RATIO_FLOOR_BYTES};

use crate::Verdict;
use crate::input::Input;
use crate::memory::within;

/// What a codec holds for itself: the window and the tables of zstd are the largest.
const CODEC_BYTES: usize = 12 << 20;

/// The largest output for an input of this size.
fn output_allowed(input_bytes: usize) -> usize {
    input_bytes.saturating_mul(MAX_DECOMPRESSION_RATIO).clamp(RATIO_FLOOR_BYTES, MAX_DECOMPRESSED_BYTES)
}

/// Memory that decompressing so many bytes may take: a buffer that has outgrown its bound is copied while it grows.
pub(super) fn memory_allowed(input_bytes: usize) -> usize {
    CODEC_BYTES + 3 * output_allowed(input_bytes) + 16 * input_bytes
}

/// The first byte chooses the codec and the direction, the rest is its input.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let choice = input.byte();
    let codec = Compression::ALL[usize::from(choice >> 1) % Compression::ALL.len()];
    let bytes = input.rest();
    if choice & 1 == 1 {
        there_and_back(codec, bytes);
        return Verdict::Accepted;
    }
    let compressed = Bytes::copy_from_slice(bytes);
    let plain = within(codec.name(), memory_allowed(bytes.len()), || codec.decompress(&compressed));
    let Ok(plain) = plain else { return Verdict::Refused };
    let allowed = output_allowed(bytes.len());
    assert!(
        plain.len() <= allowed.max(bytes.len()),
        "{codec} gave {} bytes for {}",
        plain.len(),
        bytes.len()
    );
    Verdict::Accepted
}

fn there_and_back(codec: Compression, value: &[u8]) {
    let batch = BatchBuilder::new().compression(codec).record(1, None, Some(value)).build();
    let batch =
        BatchView::parse(batch.expect("a small batch can be written")).expect("what we write we read");
    let mut records = batch.records().expect("what we compress we decompress");
    let record = records.next().expect("there is one record").expect("what we write we read");
    assert_eq!(record.value.as_deref(), Some(value), "{codec}");
}

/// Every codec in both directions, and raw snappy, which is not what we write.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (position, codec) in Compression::ALL.iter().enumerate() {
        let plain = vec![b'x'; 300];
        let batch = BatchBuilder::new().compression(*codec).record(1, Some(b"key"), Some(&plain)).build();
        let batch = batch.expect("a small batch can be written");
        let choice = (position as u8) << 1;
        seeds.push([&[choice][..], &batch[chronik_wire::batch::HEADER_BYTES..]].concat());
        seeds.push([&[choice | 1][..], b"abcabcabcabc"].concat());
    }
    // Five bytes, four of them literal.
    seeds.push(vec![4, 5, 0b1100, b'a', b'b', b'c', b'd', 0]);
    seeds
}
