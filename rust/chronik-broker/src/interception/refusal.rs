//! What a request is answered that is refused as a whole.

use chronik_wire::api::{ApiKey, Request};
use chronik_wire::error_code::ErrorCode;

use crate::topics::TopicName;

/// The topics a request concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// None.
    Nothing,
    /// All there are.
    AllTopics,
    /// These.
    Topics(Vec<TopicName>),
}

impl Named {
    /// Those with these names.
    pub(crate) fn names<'a>(names: impl Iterator<Item = &'a String>) -> Named {
        Named::Topics(names.map(|name| TopicName::Name(name.clone())).collect())
    }

    /// Those with these names, or all if the list is absent.
    pub(crate) fn names_or_all<'a>(names: Option<impl Iterator<Item = &'a String>>) -> Named {
        names.map_or(Named::AllTopics, Named::names)
    }
}

/// A request that a test may have refused before it is served.
pub(crate) trait Refusable: Request {
    /// The topics it concerns, for rules that name one.
    fn named(&self, _version: i16) -> Named {
        Named::Nothing
    }

    /// The answer that says `code` wherever its layout has room for an error.
    fn refused(self, version: i16, code: ErrorCode) -> Self::Response;
}

/// Those whose answers have one error for the whole request.
macro_rules! refused_as_a_whole {
    ($($request:ty;)*) => {$(
        impl $crate::interception::Refusable for $request {
            fn refused(
                self,
                _version: i16,
                error_code: chronik_wire::error_code::ErrorCode,
            ) -> Self::Response {
                let mut response = Self::Response::default();
                response.error_code = error_code;
                response
            }
        }
    )*};
}

pub(super) use refused_as_a_whole;

/// Whether requests of an API can concern a topic.
pub(super) fn names_topics(api: ApiKey) -> bool {
    use ApiKey::{
        AddPartitionsToTxn, AlterConfigs, AlterPartitionReassignments, AlterReplicaLogDirs,
        AlterShareGroupOffsets, CreatePartitions, CreateTopics, DeleteRecords, DeleteShareGroupOffsets,
        DeleteTopics, DescribeConfigs, DescribeLogDirs, DescribeProducers, DescribeQuorum,
        DescribeShareGroupOffsets, DescribeTopicPartitions, ElectLeaders, Fetch, IncrementalAlterConfigs,
        ListOffsets, ListPartitionReassignments, Metadata, OffsetCommit, OffsetDelete, OffsetFetch,
        OffsetForLeaderEpoch, Produce, TxnOffsetCommit, WriteTxnMarkers,
    };
    matches!(
        api,
        AddPartitionsToTxn
            | AlterConfigs
            | AlterPartitionReassignments
            | AlterReplicaLogDirs
            | AlterShareGroupOffsets
            | CreatePartitions
            | CreateTopics
            | DeleteRecords
            | DeleteShareGroupOffsets
            | DeleteTopics
            | DescribeConfigs
            | DescribeLogDirs
            | DescribeProducers
            | DescribeQuorum
            | DescribeShareGroupOffsets
            | DescribeTopicPartitions
            | ElectLeaders
            | Fetch
            | IncrementalAlterConfigs
            | ListOffsets
            | ListPartitionReassignments
            | Metadata
            | OffsetCommit
            | OffsetDelete
            | OffsetFetch
            | OffsetForLeaderEpoch
            | Produce
            | TxnOffsetCommit
            | WriteTxnMarkers
    )
}
