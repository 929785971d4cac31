//! Refusals of requests about share groups' records. Which topics a ShareFetch concerns is known to its session alone, so
//! that no rule can name one.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::{
    delete_share_group_state, initialize_share_group_state, read_share_group_state,
    read_share_group_state_summary, share_acknowledge, share_fetch, write_share_group_state,
};

use super::refusal::{Refusable, refused_as_a_whole};

refused_as_a_whole! {
    share_fetch::ShareFetchRequest;
    share_acknowledge::ShareAcknowledgeRequest;
}

/// Those whose answers have an error at every partition.
macro_rules! refused_by_partition {
    ($($module:ident: $request:ident => $response:ident, $topic:ident;)*) => {$(
        impl Refusable for $module::$request {
            fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
                let results = self.topics.into_iter().map(|topic| {
                    let partition = |asked: $module::PartitionData| {
                        let mut result = $module::PartitionResult::default();
                        (result.partition, result.error_code) = (asked.partition, error_code);
                        result
                    };
                    let partitions = topic.partitions.into_iter().map(partition).collect();
                    $module::$topic { topic_id: topic.topic_id, partitions }
                });
                $module::$response { results: results.collect() }
            }
        }
    )*};
}

refused_by_partition! {
    initialize_share_group_state:
        InitializeShareGroupStateRequest => InitializeShareGroupStateResponse, InitializeStateResult;
    read_share_group_state: ReadShareGroupStateRequest => ReadShareGroupStateResponse, ReadStateResult;
    write_share_group_state: WriteShareGroupStateRequest => WriteShareGroupStateResponse, WriteStateResult;
    delete_share_group_state: DeleteShareGroupStateRequest => DeleteShareGroupStateResponse, DeleteStateResult;
    read_share_group_state_summary:
        ReadShareGroupStateSummaryRequest => ReadShareGroupStateSummaryResponse, ReadStateSummaryResult;
}
