//! From a name or an id in a request to a topic. "There is no such topic" is a claim about the metadata log and passes
//! its gate first.

use std::sync::Arc;

use chronik_coord::{MetaImage, Topic};
use chronik_mutants::{Mutant, planted};
use chronik_replica::GateError;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{PartitionIndex, PartitionKey, TopicId};

use crate::broker::Broker;
use crate::hosts::ShardGone;

/// A topic as a request names it: by id where the version has ids, else by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TopicName {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

impl TopicName {
    /// What a request of the given kind names.
    pub(crate) fn of(by_id: bool, name: &str, id: TopicId) -> TopicName {
        if by_id { TopicName::Id(id) } else { TopicName::Name(name.to_owned()) }
    }

    /// The topic in an image.
    pub(crate) fn find<'a>(&self, image: &'a MetaImage) -> Option<&'a Arc<Topic>> {
        match self {
            TopicName::Name(name) => image.topic(name),
            TopicName::Id(id) => image.topic_by_id(*id),
        }
    }

    /// The name to answer with, empty when an id was asked for.
    pub(crate) fn name(&self) -> String {
        match self {
            TopicName::Name(name) => name.clone(),
            TopicName::Id(_) => String::new(),
        }
    }

    /// The id to answer with, zero when a name was asked for.
    pub(crate) fn id(&self) -> TopicId {
        match self {
            TopicName::Name(_) => TopicId::ZERO,
            TopicName::Id(id) => *id,
        }
    }

    /// The code for "does not exist".
    pub(crate) fn unknown(&self) -> ErrorCode {
        match self {
            TopicName::Name(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            TopicName::Id(_) => ErrorCode::UNKNOWN_TOPIC_ID,
        }
    }
}

/// A partition that exists.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its key.
    pub(crate) key: PartitionKey,
    /// Its topic.
    pub(crate) topic: Arc<Topic>,
}

/// Looks a partition up in an image.
pub(crate) fn find_partition(image: &MetaImage, topic: &TopicName, partition: i32) -> Option<Target> {
    let topic = topic.find(image)?;
    let index = usize::try_from(partition).ok()?;
    topic.partitions.get(index)?;
    Some(Target { key: PartitionKey::new(topic.id, PartitionIndex(partition)), topic: Arc::clone(topic) })
}

/// Why a partition was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It does not exist; the code says whether a name or an id is unknown.
    Unknown(ErrorCode),
    /// This node does not know it, and could not find out whether it exists.
    Unconfirmed,
}

impl Broker {
    /// Finds each partition and hands it to `found` with its place in `wanted`. Those that are known already are
    /// handed over before the first suspension, in order; the others after the metadata gate, if they turn out to
    /// exist. So a name that nobody knows neither holds back nor spoils the partitions beside it.
    pub(crate) async fn look_up<T>(
        &self,
        deadline_ms: u64,
        wanted: &[(TopicName, i32)],
        mut found: impl FnMut(usize, &Arc<MetaImage>, Target) -> T,
    ) -> Vec<Result<T, Absent>> {
        let image = self.node.image();
        let mut missing = Vec::new();
        let mut results = Vec::with_capacity(wanted.len());
        for (place, (topic, partition)) in wanted.iter().enumerate() {
            results.push(match find_partition(&image, topic, *partition) {
                Some(target) => Ok(found(place, &image, target)),
                None => {
                    missing.push(place);
                    Err(Absent::Unconfirmed)
                }
            });
        }
        if missing.is_empty() || self.meta_barrier(deadline_ms).await.is_err() {
            return results;
        }
        let image = self.node.image();
        for place in missing {
            let (Some((topic, partition)), Some(result)) = (wanted.get(place), results.get_mut(place)) else {
                continue;
            };
            *result = match find_partition(&image, topic, *partition) {
                Some(target) => Ok(found(place, &image, target)),
                None => Err(Absent::Unknown(topic.unknown())),
            };
        }
        results
    }

    /// Passes the read gate of the metadata group: afterwards the image holds everything acknowledged before the call.
    pub(crate) async fn meta_barrier(&self, deadline_ms: u64) -> Result<(), MetaGateError> {
        if planted(Mutant::MetadataUngated) {
            return Ok(());
        }
        let pass = self
            .hosts
            .with(PartitionKey::META, move |host| host.enter_gate(PartitionKey::META, deadline_ms))
            .await?;
        pass.await.map_err(|_| MetaGateError::Gone)??;
        Ok(())
    }
}

/// The gate of the metadata group could not be passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetaGateError {
    /// The replica refused.
    #[error("the metadata of the cluster cannot be confirmed: {:?}", .0.kind)]
    Refused(GateError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Gone,
}

impl From<GateError> for MetaGateError {
    fn from(error: GateError) -> Self {
        MetaGateError::Refused(error)
    }
}

impl From<ShardGone> for MetaGateError {
    fn from(_: ShardGone) -> Self {
        MetaGateError::Gone
    }
}
