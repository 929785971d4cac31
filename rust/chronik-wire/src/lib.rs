//! The Kafka wire protocol: frames, headers, messages and record batches. Knows nothing of brokers.

pub mod types;
