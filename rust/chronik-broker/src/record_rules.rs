//! What a topic asks of the records in a produced batch: keys where the log is compacted, and a codec of its own.
//!
//! Only topics that ask for it pay for it: every other batch is stored without a look at its records.

use bytes::Bytes;
use chronik_coord::TopicConfig;
use chronik_wire::batch::{BatchError, BatchView, recompress, validate_records};
use chronik_wire::error_code::ErrorCode;

/// Why a batch does not suit its topic, in code and words.
pub(crate) type Unsuitable = (ErrorCode, String);

/// The batch as the topic stores it: the bytes that came, or the same records under the topic's codec.
pub(crate) fn suited(batch: BatchView, settings: &TopicConfig) -> Result<Bytes, Unsuitable> {
    let refused = |error: BatchError| (error.error_code(), error.to_string());
    let codec = batch.header().attributes.compression().map_err(refused)?;
    let other_codec = settings.compression.filter(|wanted| *wanted != codec);
    if !settings.cleanup.compact && other_codec.is_none() {
        return Ok(batch.into_bytes());
    }
    let summary = validate_records(&batch).map_err(refused)?;
    if settings.cleanup.compact && summary.keyless > 0 {
        let reason = format!("{} records have no key, which a compacted topic needs", summary.keyless);
        return Err((ErrorCode::INVALID_RECORD, reason));
    }
    let Some(wanted) = other_codec else { return Ok(batch.into_bytes()) };
    let bytes = recompress(&batch, wanted).map_err(refused)?;
    if bytes.len() > settings.max_message_bytes {
        return Err(refused(BatchError::TooLarge { bytes: bytes.len(), max: settings.max_message_bytes }));
    }
    Ok(bytes)
}
