//! The Kafka wire protocol: frames, headers, messages and record batches. Knows nothing of brokers.

pub mod api;
pub mod codec;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod limits;
pub mod messages;
pub mod types;
