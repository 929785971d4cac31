//! The words that enumerated configurations take.

pub(super) static CLEANUP_POLICY: &[&str] = &["compact", "delete"];
pub(super) static CLIENT_AUTH: &[&str] = &["required", "requested", "none"];
pub(super) static COMPRESSION: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub(super) static ISOLATION_LEVEL: &[&str] = &["read_committed", "read_uncommitted"];
pub(super) static MIGRATION_POLICY: &[&str] = &["disabled", "downgrade", "upgrade", "bidirectional"];
pub(super) static ON_OFF: &[&str] = &["on", "off"];
pub(super) static READ_CONSISTENCY: &[&str] = &["linearizable", "tail", "local"];
pub(super) static RECORDING_LEVEL: &[&str] = &["INFO", "DEBUG", "TRACE"];
pub(super) static ROLES: &[&str] = &["broker", "controller"];
pub(super) static SECURITY_PROTOCOL: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
pub(super) static TIMESTAMP_TYPE: &[&str] = &["CreateTime", "LogAppendTime"];
