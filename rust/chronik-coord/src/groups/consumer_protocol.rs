//! Reading and writing what consumers tell each other through a classic group.

use bytes::Bytes;
use chronik_wire::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, read_versioned, write_versioned,
};

/// The protocol type of consumers.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";
/// The latest version both have.
const LATEST_VERSION: i16 = 3;

/// A subscription; `None` if the bytes are something else.
pub(crate) fn subscription(bytes: &Bytes) -> Option<ConsumerProtocolSubscription> {
    read_versioned(bytes.clone()).ok()
}

/// The version that the writer of a subscription speaks.
pub(crate) fn version(bytes: &Bytes) -> i16 {
    let head = bytes.first_chunk().map_or(0, |head| i16::from_be_bytes(*head));
    head.clamp(0, LATEST_VERSION)
}

/// An assignment; `None` if the bytes are something else. No bytes are no partitions.
pub(crate) fn assignment(bytes: &Bytes) -> Option<ConsumerProtocolAssignment> {
    if bytes.is_empty() {
        return Some(ConsumerProtocolAssignment::default());
    }
    read_versioned(bytes.clone()).ok()
}

/// The bytes of an assignment for a consumer that speaks `version`.
pub(crate) fn assignment_bytes(assignment: &ConsumerProtocolAssignment, version: i16) -> Bytes {
    write_versioned(assignment, version).expect("topic names are short and partitions are bounded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_of_a_later_version_is_read_and_garbage_is_not() {
        let bytes =
            Bytes::from_static(b"\0\x07\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\0\0\0\x05\xff\xff more");
        let read = subscription(&bytes).expect("a subscription");
        assert_eq!((version(&bytes), read.topics, read.generation_id), (3, vec!["t".to_owned()], 5));
        assert_eq!(subscription(&Bytes::from_static(b"garbage")), None);
        assert_eq!(assignment(&Bytes::new()), Some(ConsumerProtocolAssignment::default()));
    }
}
