//! The controller's whole state as bytes, and back.
//!
//! Equal states give equal bytes: maps are ordered, and what can be derived is left out and computed
//! again, so that no snapshot can contradict itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_wire::types::{NodeId, Offset};

use crate::apply::quotas::Quotas;
use crate::assignment::Assignment;
use crate::codec::{CodecError, coded_struct};
use crate::command::{Acl, BrokerRegistration, CommandId};
use crate::image::{MetaImage, Topic};
use crate::quorum::Seat;
use crate::reply::CommandReply;

/// The version byte in front of every snapshot.
pub(crate) const SNAPSHOT_VERSION: u8 = 6;

/// The form of the state in a snapshot.
pub(crate) struct Stored {
    pub(crate) offset: Offset,
    pub(crate) cluster_id: Option<String>,
    pub(crate) next_producer_id: i64,
    pub(crate) cursor: u64,
    pub(crate) brokers: Vec<BrokerRegistration>,
    pub(crate) broker_configs: BTreeMap<Option<NodeId>, BTreeMap<String, String>>,
    pub(crate) group_configs: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) seats: BTreeMap<NodeId, Seat>,
    pub(crate) draining: Vec<NodeId>,
    pub(crate) quotas: Quotas,
    pub(crate) acls: Vec<Acl>,
    pub(crate) replies: Vec<(CommandId, CommandReply)>,
}
coded_struct!(Stored {
    offset: Offset,
    cluster_id: Option<String>,
    next_producer_id: i64,
    cursor: u64,
    brokers: Vec<BrokerRegistration>,
    broker_configs: BTreeMap<Option<NodeId>, BTreeMap<String, String>>,
    group_configs: BTreeMap<String, BTreeMap<String, String>>,
    topics: Vec<Topic>,
    seats: BTreeMap<NodeId, Seat>,
    draining: Vec<NodeId>,
    quotas: Quotas,
    acls: Vec<Acl>,
    replies: Vec<(CommandId, CommandReply)>,
});

impl Stored {
    /// Splits the image into its stored form.
    pub(crate) fn from_image(
        image: &MetaImage,
        cursor: u64,
        replies: Vec<(CommandId, CommandReply)>,
    ) -> Self {
        Stored {
            offset: image.offset,
            cluster_id: image.cluster_id.clone(),
            next_producer_id: image.next_producer_id,
            cursor,
            brokers: image.brokers.values().map(|broker| BrokerRegistration::clone(broker)).collect(),
            broker_configs: image.broker_configs().clone(),
            group_configs: image.group_configs().clone(),
            topics: image.topics().map(|topic| Topic::clone(topic)).collect(),
            seats: image.seats().clone(),
            draining: image.draining().iter().copied().collect(),
            quotas: Quotas::clone(&image.quotas),
            acls: image.acls.iter().cloned().collect(),
            replies,
        }
    }

    /// Builds the image again; lists must be in order and free of repetition.
    pub(crate) fn into_image(self) -> Result<MetaImage, CodecError> {
        let mut image = MetaImage::default();
        image.offset = self.offset;
        image.cluster_id = self.cluster_id;
        image.next_producer_id = self.next_producer_id;
        if !self.brokers.is_sorted_by(|a, b| a.id < b.id) {
            return Err(CodecError::Inconsistent("brokers are not in ascending order"));
        }
        image.brokers =
            Arc::new(self.brokers.into_iter().map(|broker| (broker.id, Arc::new(broker))).collect());
        if !self.topics.is_sorted_by(|a, b| a.name < b.name) {
            return Err(CodecError::Inconsistent("topics are not in ascending order"));
        }
        for topic in self.topics {
            if image.topic_by_id(topic.id).is_some() {
                return Err(CodecError::Inconsistent("two topics share one id"));
            }
            if !topic.partitions.iter().all(Assignment::is_consistent) {
                return Err(CodecError::Inconsistent("the replicas and members of a partition differ"));
            }
            image.put_topic(topic);
        }
        for (node, configs) in self.broker_configs {
            if configs.is_empty() {
                return Err(CodecError::Inconsistent("a broker has an empty set of overrides"));
            }
            image.set_broker_overrides(node, configs);
        }
        for (group, configs) in self.group_configs {
            if configs.is_empty() {
                return Err(CodecError::Inconsistent("a group has an empty set of overrides"));
            }
            image.set_group_overrides(group, configs);
        }
        if !self.draining.is_sorted_by(|a, b| a < b) {
            return Err(CodecError::Inconsistent("draining brokers are not in ascending order"));
        }
        let draining: BTreeSet<NodeId> = self.draining.into_iter().collect();
        image.restore_seats(self.seats, draining);
        if !self.acls.is_sorted_by(|a, b| a < b) {
            return Err(CodecError::Inconsistent("access control entries are not in ascending order"));
        }
        image.acls = Arc::new(self.acls.into_iter().collect());
        for (entity, quotas) in self.quotas {
            if quotas.is_empty() {
                return Err(CodecError::Inconsistent("an entity has an empty set of quotas"));
            }
            image.set_quotas(entity, quotas);
        }
        Ok(image)
    }
}
