//! DescribeLogDirs (key 35), versions 1-5.
//!
//! Behaviour: the one directory of this node with the replicas it holds, their sizes in bytes, and how far each is behind
//! what it knows to be committed. Partitions asked about that are not here are left out, as Kafka does.
//! Versions: 2 flexible · 3 an error of the request · 4 the size of the volume · 5 cordoned directories.
//! Not done: the size of the volume is not known (-1).
//! Tests: tests/administration/log_dirs.rs.

use std::collections::{BTreeMap, BTreeSet};

use chronik_replica::Host;
use chronik_wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use chronik_wire::types::PartitionKey;

use super::{Answer, Context};

pub(crate) async fn handle(
    context: Context,
    request: DescribeLogDirsRequest,
) -> Answer<DescribeLogDirsResponse> {
    let wanted: Option<BTreeSet<(String, i32)>> = request.topics.map(|topics| {
        let pairs = topics.into_iter().flat_map(|topic| {
            let name = topic.topic;
            topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
        });
        pairs.collect()
    });
    let image = context.broker.node.image();
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for held in context.broker.hosts.ask_each(replicas) {
        // A shard that is gone holds nothing any more: the node is stopping.
        for (key, replica) in held.await.unwrap_or_default() {
            let Some(topic) = image.topic_by_id(key.topic) else { continue };
            let name = topic.name.to_string();
            let asked = |wanted: &BTreeSet<_>| wanted.contains(&(name.clone(), key.partition.0));
            if wanted.as_ref().is_none_or(asked) {
                topics.entry(name).or_default().push(replica);
            }
        }
    }
    let topic = |(name, mut partitions): (String, Vec<DescribeLogDirsPartition>)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic { name, partitions }
    };
    let directory = DescribeLogDirsResult {
        log_dir: context.broker.node.config.log_dir(),
        topics: topics.into_iter().map(topic).collect(),
        ..DescribeLogDirsResult::default()
    };
    Ok(Some(DescribeLogDirsResponse { results: vec![directory], ..DescribeLogDirsResponse::default() }))
}

/// The replicas of one shard.
fn replicas(host: &mut Host) -> Vec<(PartitionKey, DescribeLogDirsPartition)> {
    let describe = |key: PartitionKey| {
        let replica = host.replica(key)?;
        let log = replica.log();
        let described = DescribeLogDirsPartition {
            partition_index: key.partition.0,
            partition_size: i64::try_from(log.size_bytes()).unwrap_or(i64::MAX),
            offset_lag: (replica.high_watermark().0 - log.log_end().0).max(0),
            is_future_key: false,
        };
        Some((key, described))
    };
    host.keys().filter_map(describe).collect()
}
