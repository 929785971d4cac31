//! The table of APIs: for each key its name, its messages and the versions offered.
//!
//! The single source: ApiVersions answers, dispatch and header choice all read it. A row needs both messages, and the
//! compiler checks the row's versions against theirs, so nothing can be offered that cannot be decoded.

use std::fmt;
use std::ops::RangeInclusive;

use crate::codec::Message;
use crate::messages::*;

/// A request body, tied to its API and its response.
pub trait Request: Message {
    /// The API the request belongs to.
    const KEY: ApiKey;
    /// The body that answers it.
    type Response: Message;
}

/// `Name = key, advertised versions, first version with a layout, Request => Response;`
macro_rules! apis {
    ($(
        $(#[$meta:meta])*
        $name:ident = $key:literal, $advertised:expr, layouts $layouts:expr, $request:ident => $response:ident;
    )*) => {
        /// A Kafka API this crate has the messages of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($(#[$meta])* $name = $key,)*
        }

        impl ApiKey {
            /// All APIs, by rising key.
            pub const ALL: &[ApiKey] = &[$(ApiKey::$name),*];

            /// The API of a key, if it is in the table.
            pub const fn from_i16(key: i16) -> Option<ApiKey> {
                match key {
                    $($key => Some(ApiKey::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name of the API.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ApiKey::$name => stringify!($name),)*
                }
            }

            /// The versions to advertise.
            pub const fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $(ApiKey::$name => $advertised,)*
                }
            }

            /// The versions with a known layout. Narrower than what is advertised only for Produce, whose versions 0-2
            /// clients want to see and nobody sends.
            pub const fn layouts(self) -> RangeInclusive<i16> {
                match self {
                    $(ApiKey::$name => <$request as Message>::VERSIONS,)*
                }
            }

            /// The first flexible version.
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(ApiKey::$name => <$request as Message>::FLEXIBLE_FROM,)*
                }
            }
        }

        $(
            impl Request for $request {
                const KEY: ApiKey = ApiKey::$name;
                type Response = $response;
            }

            const _: () = {
                let (request, response) = (<$request as Message>::VERSIONS, <$response as Message>::VERSIONS);
                assert!(*request.start() == $layouts && *response.start() == $layouts);
                assert!(*request.end() == *($advertised).end() && *response.end() == *($advertised).end());
                assert!(<$request as Message>::FLEXIBLE_FROM == <$response as Message>::FLEXIBLE_FROM);
            };
        )*
    };
}

apis! {
    /// Appends record batches.
    Produce = 0, 0..=13, layouts 3, ProduceRequest => ProduceResponse;
    /// Reads record batches.
    Fetch = 1, 4..=18, layouts 4, FetchRequest => FetchResponse;
    /// Finds offsets by timestamp.
    ListOffsets = 2, 1..=11, layouts 1, ListOffsetsRequest => ListOffsetsResponse;
    /// Describes brokers and topics.
    Metadata = 3, 0..=13, layouts 0, MetadataRequest => MetadataResponse;
    /// Keeps how far a group has read.
    OffsetCommit = 8, 2..=10, layouts 2, OffsetCommitRequest => OffsetCommitResponse;
    /// Says how far groups have read.
    OffsetFetch = 9, 1..=10, layouts 1, OffsetFetchRequest => OffsetFetchResponse;
    /// Names the coordinator of a group or transaction.
    FindCoordinator = 10, 0..=6, layouts 0, FindCoordinatorRequest => FindCoordinatorResponse;
    /// Joins a classic group.
    JoinGroup = 11, 0..=9, layouts 0, JoinGroupRequest => JoinGroupResponse;
    /// Keeps a member of a classic group alive.
    Heartbeat = 12, 0..=4, layouts 0, HeartbeatRequest => HeartbeatResponse;
    /// Takes members out of a classic group.
    LeaveGroup = 13, 0..=5, layouts 0, LeaveGroupRequest => LeaveGroupResponse;
    /// Hands out the assignment of a classic group.
    SyncGroup = 14, 0..=5, layouts 0, SyncGroupRequest => SyncGroupResponse;
    /// Describes classic groups.
    DescribeGroups = 15, 0..=6, layouts 0, DescribeGroupsRequest => DescribeGroupsResponse;
    /// Lists groups.
    ListGroups = 16, 0..=5, layouts 0, ListGroupsRequest => ListGroupsResponse;
    /// Lists the broker's APIs.
    ApiVersions = 18, 0..=4, layouts 0, ApiVersionsRequest => ApiVersionsResponse;
    /// Creates topics.
    CreateTopics = 19, 2..=7, layouts 2, CreateTopicsRequest => CreateTopicsResponse;
    /// Deletes topics.
    DeleteTopics = 20, 1..=6, layouts 1, DeleteTopicsRequest => DeleteTopicsResponse;
    /// Moves the start of logs.
    DeleteRecords = 21, 0..=2, layouts 0, DeleteRecordsRequest => DeleteRecordsResponse;
    /// Gives out producer ids.
    InitProducerId = 22, 0..=5, layouts 0, InitProducerIdRequest => InitProducerIdResponse;
    /// Finds where leader epochs ended.
    OffsetForLeaderEpoch = 23, 2..=4, layouts 2, OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
    /// Adds partitions to a transaction.
    AddPartitionsToTxn = 24, 0..=5, layouts 0, AddPartitionsToTxnRequest => AddPartitionsToTxnResponse;
    /// Adds a group to a transaction.
    AddOffsetsToTxn = 25, 0..=4, layouts 0, AddOffsetsToTxnRequest => AddOffsetsToTxnResponse;
    /// Commits or aborts a transaction.
    EndTxn = 26, 0..=5, layouts 0, EndTxnRequest => EndTxnResponse;
    /// Writes the end of transactions into partitions.
    WriteTxnMarkers = 27, 1..=2, layouts 1, WriteTxnMarkersRequest => WriteTxnMarkersResponse;
    /// Commits offsets within a transaction.
    TxnOffsetCommit = 28, 0..=5, layouts 0, TxnOffsetCommitRequest => TxnOffsetCommitResponse;
    /// Lists access control entries.
    DescribeAcls = 29, 1..=3, layouts 1, DescribeAclsRequest => DescribeAclsResponse;
    /// Adds access control entries.
    CreateAcls = 30, 1..=3, layouts 1, CreateAclsRequest => CreateAclsResponse;
    /// Removes access control entries.
    DeleteAcls = 31, 1..=3, layouts 1, DeleteAclsRequest => DeleteAclsResponse;
    /// Shows configuration.
    DescribeConfigs = 32, 1..=4, layouts 1, DescribeConfigsRequest => DescribeConfigsResponse;
    /// Replaces configuration.
    AlterConfigs = 33, 0..=2, layouts 0, AlterConfigsRequest => AlterConfigsResponse;
    /// Moves replicas between directories.
    AlterReplicaLogDirs = 34, 1..=2, layouts 1, AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse;
    /// Shows where replicas are stored.
    DescribeLogDirs = 35, 1..=5, layouts 1, DescribeLogDirsRequest => DescribeLogDirsResponse;
    /// Raises the number of partitions of topics.
    CreatePartitions = 37, 0..=3, layouts 0, CreatePartitionsRequest => CreatePartitionsResponse;
    /// Deletes empty groups.
    DeleteGroups = 42, 0..=2, layouts 0, DeleteGroupsRequest => DeleteGroupsResponse;
    /// Elects preferred leaders.
    ElectLeaders = 43, 0..=2, layouts 0, ElectLeadersRequest => ElectLeadersResponse;
    /// Changes configuration entry by entry.
    IncrementalAlterConfigs = 44, 0..=1, layouts 0,
        IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    /// Moves partitions to other nodes.
    AlterPartitionReassignments = 45, 0..=1, layouts 0,
        AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse;
    /// Lists partitions that are being moved.
    ListPartitionReassignments = 46, 0..=0, layouts 0,
        ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse;
    /// Forgets committed offsets.
    OffsetDelete = 47, 0..=0, layouts 0, OffsetDeleteRequest => OffsetDeleteResponse;
    /// Lists quotas of clients.
    DescribeClientQuotas = 48, 0..=1, layouts 0, DescribeClientQuotasRequest => DescribeClientQuotasResponse;
    /// Changes quotas of clients.
    AlterClientQuotas = 49, 0..=1, layouts 0, AlterClientQuotasRequest => AlterClientQuotasResponse;
    /// Lists SCRAM credentials.
    DescribeUserScramCredentials = 50, 0..=0, layouts 0,
        DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse;
    /// Changes SCRAM credentials.
    AlterUserScramCredentials = 51, 0..=0, layouts 0,
        AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse;
    /// Describes the quorum of the metadata log.
    DescribeQuorum = 55, 0..=2, layouts 0, DescribeQuorumRequest => DescribeQuorumResponse;
    /// Changes the levels of features.
    UpdateFeatures = 57, 0..=2, layouts 0, UpdateFeaturesRequest => UpdateFeaturesResponse;
    /// Describes the cluster.
    DescribeCluster = 60, 0..=2, layouts 0, DescribeClusterRequest => DescribeClusterResponse;
    /// Describes the producers of partitions.
    DescribeProducers = 61, 0..=0, layouts 0, DescribeProducersRequest => DescribeProducersResponse;
    /// Forgets a broker.
    UnregisterBroker = 64, 0..=0, layouts 0, UnregisterBrokerRequest => UnregisterBrokerResponse;
    /// Describes transactions.
    DescribeTransactions = 65, 0..=0, layouts 0, DescribeTransactionsRequest => DescribeTransactionsResponse;
    /// Lists transactions.
    ListTransactions = 66, 0..=2, layouts 0, ListTransactionsRequest => ListTransactionsResponse;
    /// Joins, keeps alive and leaves a KIP-848 group.
    ConsumerGroupHeartbeat = 68, 0..=1, layouts 0, ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse;
    /// Describes KIP-848 groups.
    ConsumerGroupDescribe = 69, 0..=1, layouts 0, ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse;
    /// Lists resources with configuration.
    ListConfigResources = 74, 0..=1, layouts 0, ListConfigResourcesRequest => ListConfigResourcesResponse;
    /// Describes topics page by page.
    DescribeTopicPartitions = 75, 0..=0, layouts 0, DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
    /// Joins, keeps alive and leaves a share group.
    ShareGroupHeartbeat = 76, 1..=1, layouts 1, ShareGroupHeartbeatRequest => ShareGroupHeartbeatResponse;
    /// Describes share groups.
    ShareGroupDescribe = 77, 1..=1, layouts 1, ShareGroupDescribeRequest => ShareGroupDescribeResponse;
    /// Acquires records of share groups.
    ShareFetch = 78, 1..=2, layouts 1, ShareFetchRequest => ShareFetchResponse;
    /// Settles records of share groups.
    ShareAcknowledge = 79, 1..=2, layouts 1, ShareAcknowledgeRequest => ShareAcknowledgeResponse;
    /// Begins the state of share partitions.
    InitializeShareGroupState = 83, 0..=0, layouts 0,
        InitializeShareGroupStateRequest => InitializeShareGroupStateResponse;
    /// Reads the state of share partitions.
    ReadShareGroupState = 84, 0..=0, layouts 0, ReadShareGroupStateRequest => ReadShareGroupStateResponse;
    /// Keeps the state of share partitions.
    WriteShareGroupState = 85, 0..=1, layouts 0, WriteShareGroupStateRequest => WriteShareGroupStateResponse;
    /// Forgets the state of share partitions.
    DeleteShareGroupState = 86, 0..=0, layouts 0, DeleteShareGroupStateRequest => DeleteShareGroupStateResponse;
    /// Says where share partitions stand.
    ReadShareGroupStateSummary = 87, 0..=1, layouts 0,
        ReadShareGroupStateSummaryRequest => ReadShareGroupStateSummaryResponse;
    /// Says how far share groups have come.
    DescribeShareGroupOffsets = 90, 0..=1, layouts 0,
        DescribeShareGroupOffsetsRequest => DescribeShareGroupOffsetsResponse;
    /// Moves the start offsets of share groups.
    AlterShareGroupOffsets = 91, 0..=0, layouts 0, AlterShareGroupOffsetsRequest => AlterShareGroupOffsetsResponse;
    /// Forgets start offsets of share groups.
    DeleteShareGroupOffsets = 92, 0..=0, layouts 0, DeleteShareGroupOffsetsRequest => DeleteShareGroupOffsetsResponse;
}

impl ApiKey {
    /// The version of the request header: 2 for flexible versions, else 1.
    pub const fn request_header_version(self, version: i16) -> i16 {
        if version >= self.flexible_from() { 2 } else { 1 }
    }

    /// The version of the response header: 1 for flexible versions, else 0. ApiVersions always uses 0, because the
    /// client does not know yet what the broker speaks.
    pub const fn response_header_version(self, version: i16) -> i16 {
        let flexible = version >= self.flexible_from() && !matches!(self, ApiKey::ApiVersions);
        if flexible { 1 } else { 0 }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
