//! AlterReplicaLogDirs (key 34), versions 1-2.
//!
//! Behaviour: a node has one directory. Moving a replica there, where it is, succeeds and changes nothing; any other
//! directory is 57, a replica that this node does not hold 9.
//! Versions: 2 flexible.
//! Tests: tests/administration/log_dirs.rs.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use chronik_wire::types::NodeId;

use super::{Answer, Context};
use crate::cluster_picture::ClusterPicture;

pub(crate) async fn handle(
    context: Context,
    request: AlterReplicaLogDirsRequest,
) -> Answer<AlterReplicaLogDirsResponse> {
    let picture = ClusterPicture::take(&context).await;
    let config = &context.broker.node.config;
    let own: NodeId = config.node;
    let directory = config.log_dir();
    let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
    for wanted in request.dirs {
        for topic in wanted.topics {
            let known = picture.image.topic(&topic.name);
            let outcome = |index: &i32| {
                let assignment = known.and_then(|known| known.partitions.get(usize::try_from(*index).ok()?));
                let error_code = if !assignment.is_some_and(|held| held.replicas.contains(&own)) {
                    ErrorCode::REPLICA_NOT_AVAILABLE
                } else if wanted.path == directory {
                    ErrorCode::NONE
                } else {
                    ErrorCode::LOG_DIR_NOT_FOUND
                };
                AlterReplicaLogDirPartitionResult { partition_index: *index, error_code }
            };
            let partitions = topic.partitions.iter().map(outcome).collect();
            results.push(AlterReplicaLogDirTopicResult { topic_name: topic.name, partitions });
        }
    }
    Ok(Some(AlterReplicaLogDirsResponse { throttle_time_ms: 0, results }))
}
