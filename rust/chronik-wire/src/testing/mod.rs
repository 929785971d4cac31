//! What tests of this crate and of others need to try all messages: values made from bytes, the list of all messages,
//! a counter of memory. Compiled into tests only, and with the feature `testing`.

pub mod allocation;
pub mod sample;

/// Calls `$check!(RequestName, ResponseName)` for every API; the names are those of [`messages`](crate::messages). A test
/// of this crate checks that none is missing.
#[macro_export]
macro_rules! for_each_api {
    ($check:ident) => {
        $crate::for_each_api!(@each $check:
            ProduceRequest ProduceResponse,
            FetchRequest FetchResponse,
            ListOffsetsRequest ListOffsetsResponse,
            MetadataRequest MetadataResponse,
            OffsetCommitRequest OffsetCommitResponse,
            OffsetFetchRequest OffsetFetchResponse,
            FindCoordinatorRequest FindCoordinatorResponse,
            JoinGroupRequest JoinGroupResponse,
            HeartbeatRequest HeartbeatResponse,
            LeaveGroupRequest LeaveGroupResponse,
            SyncGroupRequest SyncGroupResponse,
            DescribeGroupsRequest DescribeGroupsResponse,
            ListGroupsRequest ListGroupsResponse,
            ApiVersionsRequest ApiVersionsResponse,
            CreateTopicsRequest CreateTopicsResponse,
            DeleteTopicsRequest DeleteTopicsResponse,
            DeleteRecordsRequest DeleteRecordsResponse,
            InitProducerIdRequest InitProducerIdResponse,
            OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
            AddPartitionsToTxnRequest AddPartitionsToTxnResponse,
            AddOffsetsToTxnRequest AddOffsetsToTxnResponse,
            EndTxnRequest EndTxnResponse,
            WriteTxnMarkersRequest WriteTxnMarkersResponse,
            TxnOffsetCommitRequest TxnOffsetCommitResponse,
            DescribeAclsRequest DescribeAclsResponse,
            CreateAclsRequest CreateAclsResponse,
            DeleteAclsRequest DeleteAclsResponse,
            DescribeConfigsRequest DescribeConfigsResponse,
            AlterConfigsRequest AlterConfigsResponse,
            AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse,
            DescribeLogDirsRequest DescribeLogDirsResponse,
            CreatePartitionsRequest CreatePartitionsResponse,
            DeleteGroupsRequest DeleteGroupsResponse,
            ElectLeadersRequest ElectLeadersResponse,
            IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
            AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse,
            ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse,
            OffsetDeleteRequest OffsetDeleteResponse,
            DescribeClientQuotasRequest DescribeClientQuotasResponse,
            AlterClientQuotasRequest AlterClientQuotasResponse,
            DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse,
            AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse,
            DescribeQuorumRequest DescribeQuorumResponse,
            UpdateFeaturesRequest UpdateFeaturesResponse,
            DescribeClusterRequest DescribeClusterResponse,
            DescribeProducersRequest DescribeProducersResponse,
            UnregisterBrokerRequest UnregisterBrokerResponse,
            DescribeTransactionsRequest DescribeTransactionsResponse,
            ListTransactionsRequest ListTransactionsResponse,
            ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
            ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
            ListConfigResourcesRequest ListConfigResourcesResponse,
            DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
            ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse,
            ShareGroupDescribeRequest ShareGroupDescribeResponse,
            ShareFetchRequest ShareFetchResponse,
            ShareAcknowledgeRequest ShareAcknowledgeResponse,
            InitializeShareGroupStateRequest InitializeShareGroupStateResponse,
            ReadShareGroupStateRequest ReadShareGroupStateResponse,
            WriteShareGroupStateRequest WriteShareGroupStateResponse,
            DeleteShareGroupStateRequest DeleteShareGroupStateResponse,
            ReadShareGroupStateSummaryRequest ReadShareGroupStateSummaryResponse,
            DescribeShareGroupOffsetsRequest DescribeShareGroupOffsetsResponse,
            AlterShareGroupOffsetsRequest AlterShareGroupOffsetsResponse,
            DeleteShareGroupOffsetsRequest DeleteShareGroupOffsetsResponse,
        )
    };
    (@each $check:ident: $($request:ident $response:ident,)*) => { $($check!($request, $response);)* };
}

/// Calls `$function::<Message>(arguments)` for both messages of every API.
#[macro_export]
macro_rules! for_each_message {
    ($function:ident($($argument:expr),*)) => {{
        macro_rules! both {
            ($request:ident, $response:ident) => {
                $function::<$request>($($argument),*);
                $function::<$response>($($argument),*);
            };
        }
        $crate::for_each_api!(both);
    }};
}
