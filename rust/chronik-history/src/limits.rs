//! Bounds on everything that grows with its input, named.

/// Longest line of a history file in bytes; a dump of one partition is the largest line there is.
pub const LINE_BYTES_MAX: usize = 256 << 20;

/// Anomalies kept with their explanation, per rule. The count goes on.
pub const ANOMALIES_KEPT_PER_RULE: usize = 20;

/// Events named by one anomaly.
pub const EVENTS_PER_ANOMALY_MAX: usize = 8;

/// Records or values shown in the description of one event.
pub const RECORDS_DESCRIBED_MAX: usize = 4;

/// Characters shown of one value.
pub const VALUE_CHARACTERS_DESCRIBED_MAX: usize = 40;
