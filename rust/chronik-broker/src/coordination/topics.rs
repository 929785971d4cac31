//! The internal topics that coordinators keep their records in. They are created when somebody first asks for a
//! coordinator.

use chronik_coord::{MetaImage, NewTopic};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{PartitionIndex, PartitionKey, TopicId};

use crate::broker::Broker;

/// The smallest value of `segment.bytes`.
const SEGMENT_BYTES_MIN: i64 = 1 << 20;

/// A topic of the broker's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InternalTopic {
    /// Groups and their committed offsets.
    ConsumerOffsets,
    /// Transactions.
    TransactionState,
    /// What share groups are done with.
    ShareGroupState,
}

impl InternalTopic {
    const ALL: [InternalTopic; 3] =
        [InternalTopic::ConsumerOffsets, InternalTopic::TransactionState, InternalTopic::ShareGroupState];

    /// Its name, which is Kafka's.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            InternalTopic::ConsumerOffsets => "__consumer_offsets",
            InternalTopic::TransactionState => "__transaction_state",
            InternalTopic::ShareGroupState => "__share_group_state",
        }
    }

    /// The internal topic of that name.
    pub(crate) fn by_name(name: &str) -> Option<InternalTopic> {
        InternalTopic::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// The broker keys for its partitions, its replicas and its segments.
    const fn keys(self) -> [&'static str; 3] {
        match self {
            InternalTopic::ConsumerOffsets => [
                "offsets.topic.num.partitions",
                "offsets.topic.replication.factor",
                "offsets.topic.segment.bytes",
            ],
            InternalTopic::TransactionState => [
                "transaction.state.log.num.partitions",
                "transaction.state.log.replication.factor",
                "transaction.state.log.segment.bytes",
            ],
            InternalTopic::ShareGroupState => [
                "share.coordinator.state.topic.num.partitions",
                "share.coordinator.state.topic.replication.factor",
                "share.coordinator.state.topic.segment.bytes",
            ],
        }
    }
}

/// Whether clients may append to a topic: what coordinators have written is nobody else's to add to.
pub(crate) fn may_be_produced_to(topic: &str) -> bool {
    InternalTopic::by_name(topic).is_none()
}

/// The partition of an internal topic that is responsible for a name; `None` before the topic exists.
pub(super) fn partition_of(image: &MetaImage, topic: InternalTopic, name: &str) -> Option<PartitionKey> {
    let topic = image.topic(topic.name())?;
    let count = i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)?;
    let partition = chronik_coord::coordinator::partition_for(name, count);
    Some(PartitionKey::new(topic.id, PartitionIndex(partition)))
}

/// All partitions of an internal topic; none before it exists.
pub(super) fn partitions(image: &MetaImage, topic: InternalTopic) -> Vec<PartitionKey> {
    let Some(topic) = image.topic(topic.name()) else { return Vec::new() };
    let indexes = (0..).take(topic.partitions.len());
    indexes.map(|partition| PartitionKey::new(topic.id, PartitionIndex(partition))).collect()
}

/// The topic key for a size of segments: a topic of clients has none below a megabyte, the brokers' keys allow it.
fn segment_key(bytes: Option<i64>) -> &'static str {
    if bytes.is_some_and(|bytes| bytes < SEGMENT_BYTES_MIN) {
        "internal.segment.bytes"
    } else {
        "segment.bytes"
    }
}

impl Broker {
    /// The partition that is responsible for a name. Creates the topic if there is none yet.
    ///
    /// # Errors
    /// 15 while the topic cannot be created: there is no quorum, or no broker is known yet.
    pub(crate) async fn coordinator_partition(
        &self,
        topic: InternalTopic,
        name: &str,
        deadline_ms: u64,
    ) -> Result<PartitionKey, ErrorCode> {
        if let Some(key) = partition_of(&self.node.image(), topic, name) {
            return Ok(key);
        }
        self.meta_barrier(deadline_ms).await.map_err(|_| ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
        if partition_of(&self.node.image(), topic, name).is_none() {
            self.create_internal(topic, deadline_ms).await;
        }
        partition_of(&self.node.image(), topic, name).ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)
    }

    /// Several may ask at a time: one creates it and the others are told that it exists.
    async fn create_internal(&self, topic: InternalTopic, deadline_ms: u64) {
        let new = self.internal_topic(topic);
        for (name, outcome) in self.create_topics(vec![new], false, deadline_ms).await {
            match outcome {
                Ok(_) => {
                    tracing::info!(node = self.node.config.node.0, topic = %name, "created for coordinators")
                }
                Err(error) if error.code == ErrorCode::TOPIC_ALREADY_EXISTS => {
                    let exists = |image: &MetaImage| image.topic(topic.name()).is_some();
                    self.await_image(deadline_ms, exists).await;
                }
                Err(error) => {
                    tracing::warn!(node = self.node.config.node.0, topic = %name, error = error.message,
                        "cannot be created; groups and transactions have no coordinator until it is");
                }
            }
        }
    }

    fn internal_topic(&self, topic: InternalTopic) -> NewTopic {
        let image = self.node.image();
        let config = &self.node.config;
        let number = |key: &str| {
            let resolved = image.broker_config(key, config.node, &config.broker_config)?;
            resolved.value?.trim().parse::<i64>().ok()
        };
        let [partitions, replicas, segment_bytes] = topic.keys().map(number);
        let brokers = image.brokers.len().max(1) as i64;
        let configs = [
            ("cleanup.policy", Some("compact".to_owned())),
            ("compression.type", Some("producer".to_owned())),
            // A quorum has every record that counts; one member short of a larger number must not stop all groups.
            ("min.insync.replicas", Some("1".to_owned())),
            (segment_key(segment_bytes), segment_bytes.map(|bytes| bytes.to_string())),
        ];
        NewTopic {
            name: topic.name().to_owned(),
            id: TopicId::ZERO,
            partitions: partitions.and_then(|count| i32::try_from(count).ok()).unwrap_or(1),
            replication_factor: i16::try_from(replicas.unwrap_or(1).min(brokers)).unwrap_or(1),
            assignments: Vec::new(),
            configs: configs
                .into_iter()
                .filter_map(|(key, value)| value.map(|value| (key.to_owned(), Some(value))))
                .collect(),
        }
    }
}
