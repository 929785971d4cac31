//! Metadata (key 3), versions 0-13.
//!
//! Behaviour: passes the gate of the metadata group, so an answer holds everything acknowledged before the request and
//! error 3 is true. Lists live brokers only. Creates missing topics on request, and answers once they are usable. If
//! the gate fails: named topics get 5 and the other brokers are listed; a request for all topics closes the
//! connection, since there is no field to say so. On the pinned address this node is all there is.
//! Versions: 0 an empty list asks for all · 1 racks, controller, null asks for all · 2 cluster id · 4 flag for creation
//! (true before) · 5 offline replicas · 7 leader epochs · 8 authorized operations · 9 flexible · 10 topic ids · 12 topics
//! by id · 13 top-level error.
//! Not done: 13 the top-level error (it asks a client to bootstrap anew, which nothing here needs).
//! Tests: tests/metadata.rs.

use std::collections::{BTreeMap, HashSet};

use chronik_coord::Topic;
use chronik_wire::api::ApiKey;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_wire::types::TopicId;

use super::{Answer, Context};
use crate::authorized_operations;
use crate::cluster_picture::{ClusterPicture, ListedPartition, is_internal, unknown_name};
use crate::connection::CloseReason;
use crate::interception::Named;
use crate::limits;
use crate::topic_admin::plain_topic;
use crate::topics::TopicName;

const NULL_ASKS_FOR_ALL_FROM: i16 = 1;
const CREATION_FLAG_FROM: i16 = 4;
const TOPICS_BY_ID_FROM: i16 = 12;

/// One topic as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asked {
    Name(String),
    Id(TopicId),
    /// Neither a name nor an id that this version may use.
    Nothing,
}

/// Why topics that were asked for could not be created, by name.
type Refusals = BTreeMap<String, ErrorCode>;

pub(crate) async fn handle(mut context: Context, request: MetadataRequest) -> Answer<MetadataResponse> {
    if request.topics.as_ref().is_some_and(|topics| topics.len() > limits::METADATA_TOPICS_MAX) {
        return Err(CloseReason::Unanswerable("a metadata request names too many topics"));
    }
    let asked = asked(&request, context.version);
    let intercepted = context.intercepted(ApiKey::Metadata, || named(asked.as_deref())).await;
    let mut picture = ClusterPicture::take(&context).await;
    let mut topics: Vec<_> = match asked {
        None if !picture.confirmed => {
            return Err(CloseReason::Unanswerable(
                "the list of topics cannot be confirmed; ask another node",
            ));
        }
        None => {
            let known = picture.image.topics();
            known.map(|topic| describe(&context, &request, &picture, topic)).collect()
        }
        Some(asked) => {
            let refusals = create_missing(&context, &request, &mut picture, &asked).await;
            let each = asked.iter().map(|asked| answer(&context, &request, &picture, asked, &refusals));
            each.collect()
        }
    };
    if let Some(refused) = intercepted {
        // The brokers stay: a client that is told of none has nobody left to ask.
        for topic in topics.iter_mut().filter(|topic| refused.concerns(topic.name.as_deref())) {
            *topic = MetadataResponseTopic {
                error_code: refused.code,
                name: topic.name.take(),
                topic_id: topic.topic_id,
                ..MetadataResponseTopic::default()
            };
        }
    }
    Ok(Some(MetadataResponse {
        brokers: brokers(&context, &picture),
        cluster_id: picture.image.cluster_id.clone(),
        controller_id: picture.controller_id(&context.broker).await,
        topics,
        cluster_authorized_operations: authorized_operations::cluster(
            request.include_cluster_authorized_operations,
        ),
        ..MetadataResponse::default()
    }))
}

/// The topics named in the request, each once; `None` asks for all.
fn asked(request: &MetadataRequest, version: i16) -> Option<Vec<Asked>> {
    let topics = request.topics.as_ref()?;
    if topics.is_empty() && version < NULL_ASKS_FOR_ALL_FROM {
        return None;
    }
    let mut seen = HashSet::new();
    let one = |topic: &MetadataRequestTopic| match &topic.name {
        _ if topic.topic_id != TopicId::ZERO && version >= TOPICS_BY_ID_FROM => Asked::Id(topic.topic_id),
        Some(name) if topic.topic_id == TopicId::ZERO => Asked::Name(name.clone()),
        _ => Asked::Nothing,
    };
    Some(topics.iter().map(one).filter(|asked| seen.insert(asked.clone())).collect())
}

/// The topics a test's rules may be about.
fn named(asked: Option<&[Asked]>) -> Named {
    let Some(asked) = asked else { return Named::AllTopics };
    let name = |asked: &Asked| match asked {
        Asked::Name(name) => Some(TopicName::Name(name.clone())),
        Asked::Id(id) => Some(TopicName::Id(*id)),
        Asked::Nothing => None,
    };
    Named::Topics(asked.iter().filter_map(name).collect())
}

/// Creates what is asked for by name and does not exist, if the client and the configuration allow it.
async fn create_missing(
    context: &Context,
    request: &MetadataRequest,
    picture: &mut ClusterPicture,
    asked: &[Asked],
) -> Refusals {
    let config = &context.broker.node.config;
    let client_allows = context.version < CREATION_FLAG_FROM || request.allow_auto_topic_creation;
    let settings = picture.image.broker_settings(config.node, &config.broker_config);
    if !picture.confirmed || !client_allows || !settings.auto_create_topics {
        return Refusals::new();
    }
    let missing: Vec<_> = asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Name(name) if picture.image.topic(name).is_none() && !is_internal(name) => {
                Some(name.clone())
            }
            _ => None,
        })
        .map(plain_topic)
        .collect();
    if missing.is_empty() {
        return Refusals::new();
    }
    let deadline_ms = context.arrived_ms + limits::INTERNAL_CALL_TIMEOUT_MS;
    let outcomes = context.broker.create_topics(missing, false, deadline_ms).await;
    picture.image = context.broker.node.image();
    let (mut refusals, mut made_by_others) = (Refusals::new(), Vec::new());
    for (name, outcome) in outcomes {
        let Err(error) = outcome else { continue };
        match picture.image.topic(&name) {
            Some(topic) => made_by_others.push(topic.id),
            None => {
                tracing::debug!(node = config.node.0, topic = %name, %error, "topic is not created on first use");
                refusals.insert(name, refusal(error.code));
            }
        }
    }
    // Somebody else was quicker, perhaps by a moment: the client is to find the topic usable all the same.
    context.broker.await_topics_here(picture.image.offset, &made_by_others, deadline_ms).await;
    refusals
}

/// What a client is told whose topic could not be created: 5 where it should ask again.
fn refusal(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::REQUEST_TIMED_OUT | ErrorCode::THROTTLING_QUOTA_EXCEEDED => {
            ErrorCode::LEADER_NOT_AVAILABLE
        }
        code => code,
    }
}

fn answer(
    context: &Context,
    request: &MetadataRequest,
    picture: &ClusterPicture,
    asked: &Asked,
    refusals: &Refusals,
) -> MetadataResponseTopic {
    let (found, absent) = match asked {
        Asked::Name(name) => {
            let absent = refusals.get(name).copied().unwrap_or_else(|| unknown_name(name));
            (picture.image.topic(name), absent)
        }
        Asked::Id(id) => (picture.image.topic_by_id(*id), ErrorCode::UNKNOWN_TOPIC_ID),
        Asked::Nothing => (None, ErrorCode::INVALID_REQUEST),
    };
    match found {
        Some(topic) if picture.confirmed => describe(context, request, picture, topic),
        _ => failed(context, asked, if picture.confirmed { absent } else { ErrorCode::LEADER_NOT_AVAILABLE }),
    }
}

fn describe(
    context: &Context,
    request: &MetadataRequest,
    picture: &ClusterPicture,
    topic: &Topic,
) -> MetadataResponseTopic {
    let partitions = picture.partitions(&context.broker, topic, 0, usize::MAX);
    MetadataResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.into_iter().map(MetadataResponsePartition::from).collect(),
        topic_authorized_operations: authorized_operations::topic(
            request.include_topic_authorized_operations,
        ),
    }
}

fn failed(context: &Context, asked: &Asked, error_code: ErrorCode) -> MetadataResponseTopic {
    let (name, topic_id) = match asked {
        Asked::Name(name) => (Some(name.clone()), TopicId::ZERO),
        Asked::Id(id) => (None, *id),
        Asked::Nothing => (None, TopicId::ZERO),
    };
    // Before version 12 a response has no null names.
    let name = if context.version < TOPICS_BY_ID_FROM { Some(name.unwrap_or_default()) } else { name };
    MetadataResponseTopic { error_code, name, topic_id, ..MetadataResponseTopic::default() }
}

fn brokers(context: &Context, picture: &ClusterPicture) -> Vec<MetadataResponseBroker> {
    let listed = picture.brokers(&context.broker, false).into_iter();
    listed
        .map(|listed| MetadataResponseBroker {
            node_id: listed.id.0,
            host: listed.endpoint.host,
            port: listed.endpoint.port.into(),
            rack: listed.rack,
        })
        .collect()
}

impl From<ListedPartition> for MetadataResponsePartition {
    fn from(listed: ListedPartition) -> Self {
        MetadataResponsePartition {
            error_code: listed.error_code,
            partition_index: listed.index,
            leader_id: listed.leader_id,
            leader_epoch: listed.leader_epoch,
            replica_nodes: listed.replicas,
            isr_nodes: listed.in_sync,
            offline_replicas: listed.offline,
        }
    }
}
