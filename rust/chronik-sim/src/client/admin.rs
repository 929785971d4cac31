//! Topics: created for the run, and one that is deleted and recreated all the time.

use std::rc::Rc;

use chronik_history::{
    Call, CreateArgs, CreateResult, DeleteArgs, EARLIEST, Event, ListArgs, ListResult, MetaArgs, MetaResult,
    Operation, Status, Text,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use chronik_wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use chronik_wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use chronik_wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use chronik_wire::types::{NodeId, TopicId};

use super::copiers::{COPIES, COPIES_PARTITIONS};
use super::requests::METADATA_VERSION;
use super::{Client, Crowd, Place, producer};
use crate::plan::ClusterPlan;
use crate::random::Random;

const CREATE_VERSION: i16 = 7;
const DELETE_VERSION: i16 = 6;
const DELETE_RECORDS_VERSION: i16 = 2;
const TIMEOUT_MS: i32 = 5_000;

/// The topic that is recreated.
pub(super) const CHURNED: &str = "churned";

/// A topic of the run.
pub(crate) struct Topic {
    name: Rc<str>,
    id: TopicId,
    partitions: i32,
}

impl Topic {
    /// Whether copiers write to it, and nobody else.
    pub(crate) fn is_for_copies(&self) -> bool {
        &*self.name == COPIES
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        (0..self.partitions).map(|partition| Place::new(&self.name, self.id, partition))
    }
}

/// Creates the topics of a plan; asks until each is there.
pub(crate) async fn create_topics(crowd: Rc<Crowd>, plan: ClusterPlan, random: Random) -> Vec<Topic> {
    let client = Client::new(&crowd, "admin", None, random);
    let mut topics = Vec::new();
    let numbered = plan.topics.iter().enumerate();
    let mut wanted: Vec<(Rc<str>, i32, Configs)> = numbered
        .map(|(number, partitions)| (Rc::from(format!("topic{number}")), *partitions, configs_of(&plan)))
        .collect();
    if crowd.plan.copiers > 0 {
        // What was copied must stay, to be counted at the end.
        let segments = vec![("internal.segment.bytes", plan.segment_bytes.to_string())];
        wanted.push((Rc::from(COPIES), COPIES_PARTITIONS, segments));
    }
    for (name, partitions, configs) in wanted {
        loop {
            let node = client.some_node();
            match client.create(node, &name, partitions, &configs).await {
                Ok(id) => {
                    topics.push(Topic { name, id, partitions });
                    break;
                }
                Err(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                    if let Some(id) = client.id_of(node, &name).await {
                        topics.push(Topic { name, id, partitions });
                        break;
                    }
                }
                Err(_) => client.back_off().await,
            }
        }
    }
    topics
}

/// Names and values of what a topic is created with.
type Configs = Vec<(&'static str, String)>;

fn configs_of(plan: &ClusterPlan) -> Configs {
    let mut configs = vec![("internal.segment.bytes", plan.segment_bytes.to_string())];
    if plan.min_insync > 1 {
        configs.push(("min.insync.replicas", plan.min_insync.to_string()));
    }
    if plan.compacted {
        let policy = if plan.retention_bytes > 0 { "compact,delete" } else { "compact" };
        configs.push(("cleanup.policy", policy.to_owned()));
        configs.push(("min.cleanable.dirty.ratio", "0.05".to_owned()));
    }
    if plan.retention_bytes > 0 {
        configs.push(("retention.bytes", plan.retention_bytes.to_string()));
    }
    if plan.retention_ms > 0 {
        configs.push(("retention.ms", plan.retention_ms.to_string()));
    }
    configs
}

/// Deletes and recreates a topic, writes a little to each life of it, and asks other nodes whether they know.
pub(super) async fn churn(client: Client) {
    let name: Rc<str> = Rc::from(CHURNED);
    let writer = Client::new(&client.crowd, "churn-writer", None, client.random.borrow_mut().fork(1));
    let mut written = 0;
    while !client.is_closing() {
        let Ok(id) = client.create(client.some_node(), &name, 1, &[]).await else {
            // It may be there from an attempt whose answer was lost.
            if let Some(id) = client.id_of(client.some_node(), &name).await {
                client.delete(client.some_node(), id).await;
            }
            client.back_off().await;
            continue;
        };
        client.ask_about(client.some_node(), &name, id).await;
        // Thousands of lives of a topic would cost time and teach nothing that dozens do not.
        client.rest().await;
        let place = Place::new(&name, id, 0);
        for _ in 0..client.below(8) {
            producer::write_one(&writer, &place, &mut written).await;
            let end = client.crowd.proved_end(&place);
            // Out of the ordinary is nothing here; the checker judges.
            let _ = client.fetch(&place, client.some_node(), (end - 1).max(0), 0, "").await;
        }
        for _ in 0..20 {
            if client.delete(client.some_node(), id).await {
                client.ask_about(client.some_node(), &name, id).await;
                // A client that has not heard of it reads on, and is told that there is no such topic.
                let _ = client.fetch(&place, client.some_node(), 0, 0, "").await;
                break;
            }
            client.back_off().await;
        }
    }
}

/// Whether an event concerns the topic that is recreated.
pub(super) fn is_about_churned(event: &Event) -> bool {
    let is_of = |topic: &Text| topic.starts_with(CHURNED);
    match &event.operation {
        Operation::Create(call) => is_of(&call.args.name),
        Operation::Delete(call) => is_of(&call.args.topic_id),
        Operation::Meta(call) => call.args.topics.iter().flatten().any(is_of),
        _ => is_of(&event.key),
    }
}

/// Longest time from one deletion of records to the next, in microseconds.
const DELETE_EVERY_US: u64 = 4_000_000;

/// Now and then lets a log begin further up.
pub(super) async fn delete_records(client: Client, places: Rc<[Place]>) {
    let mut leader = None;
    while !client.is_closing() {
        let Some(place) = client.pick(&places).cloned() else { return };
        let node = client.leader_of(&place, &mut leader).await;
        let end = client.crowd.proved_end(&place);
        let before = client.below(end.unsigned_abs() + 1).cast_signed();
        if client.delete_before(&place, node, before).await.is_none() {
            leader = None;
        }
        let for_us = client.below(DELETE_EVERY_US);
        client.crowd.board.sleep(for_us).await;
    }
}

fn text_of(name: &str, id: TopicId) -> Text {
    Text::from(format!("{name}-{:x}", id.0 >> 96))
}

impl Client {
    async fn create(
        &self,
        node: NodeId,
        name: &Rc<str>,
        partitions: i32,
        configs: &[(&str, String)],
    ) -> Result<TopicId, ErrorCode> {
        let args = CreateArgs { name: Text::from(&**name), ..CreateArgs::default() };
        let pending = self.invoked(node, &Text::default(), Operation::Create(Call::new(args)));
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some(value.clone()),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.to_string(),
                num_partitions: partitions,
                replication_factor: self.crowd.nodes.len() as i16,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: TIMEOUT_MS,
            validate_only: false,
        };
        let answer = self.ask(node, false, CREATE_VERSION, &request).await;
        let Some(topic) = answer.ok().flatten().and_then(|answer| answer.topics.into_iter().next()) else {
            self.returned(&pending, 0, Status::Info, |_| ());
            return Err(ErrorCode::NETWORK_EXCEPTION);
        };
        let error = topic.error_code;
        let status = match error {
            ErrorCode::NONE => Status::Ok,
            ErrorCode::TOPIC_ALREADY_EXISTS => Status::Fail,
            _ => Status::Info,
        };
        self.returned(&pending, error.0, status, |operation| {
            if let Operation::Create(call) = operation {
                call.result =
                    error.is_none().then(|| CreateResult { topic_id: text_of(name, topic.topic_id) });
            }
        });
        if error.is_none() { Ok(topic.topic_id) } else { Err(error) }
    }

    /// Deletes a topic. True if it is known to be gone.
    async fn delete(&self, node: NodeId, id: TopicId) -> bool {
        let args = DeleteArgs { topic_id: text_of(CHURNED, id), ..DeleteArgs::default() };
        let pending = self.invoked(node, &Text::default(), Operation::Delete(Call::new(args)));
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: None, topic_id: id }],
            timeout_ms: TIMEOUT_MS,
            ..DeleteTopicsRequest::default()
        };
        let answer = self.ask(node, false, DELETE_VERSION, &request).await;
        let result = answer.ok().flatten().and_then(|answer| answer.responses.into_iter().next());
        let Some(result) = result else {
            self.returned(&pending, 0, Status::Info, |_| ());
            return false;
        };
        let error = result.error_code;
        let gone = error == ErrorCode::UNKNOWN_TOPIC_ID;
        let status = if error.is_none() {
            Status::Ok
        } else if gone {
            Status::Fail
        } else {
            Status::Info
        };
        self.returned(&pending, error.0, status, |_| ());
        error.is_none() || gone
    }

    /// Deletes the records below an offset. The answer says where the log begins, and is written down as such.
    async fn delete_before(&self, place: &Place, node: NodeId, offset: i64) -> Option<i64> {
        let args = ListArgs { timestamp: EARLIEST, ..ListArgs::default() };
        let pending = self.invoked(node, &place.key, Operation::List(Call::new(args)));
        let partition = DeleteRecordsPartition { partition_index: place.partition, offset };
        let topic = DeleteRecordsTopic { name: place.topic.to_string(), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS };
        let answer = self.ask(node, false, DELETE_RECORDS_VERSION, &request).await.ok().flatten();
        let result =
            answer.and_then(|answer| answer.topics.into_iter().next()?.partitions.into_iter().next());
        let start = result.filter(|result| result.error_code.is_none()).map(|result| result.low_watermark);
        // Where the log begins is open if there is no answer, or a refusal.
        let status = if start.is_some() { Status::Ok } else { Status::Info };
        self.returned(&pending, 0, status, |operation| {
            if let Operation::List(call) = operation {
                call.result = start.map(|offset| ListResult { offset });
            }
        });
        if start.is_some() {
            self.crowd.saw("records_deleted");
        }
        start
    }

    /// The id of a topic by the word of one node.
    async fn id_of(&self, node: NodeId, name: &str) -> Option<TopicId> {
        let topic = MetadataRequestTopic { topic_id: TopicId::ZERO, name: Some(name.to_owned()) };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let answer = self.ask(node, false, METADATA_VERSION, &request).await.ok().flatten()?;
        let topic = answer.topics.into_iter().next()?;
        (topic.topic_id != TopicId::ZERO).then_some(topic.topic_id)
    }

    /// Asks one node about a topic by name and writes down whether it knows it.
    async fn ask_about(&self, node: NodeId, name: &str, id: TopicId) {
        let args = MetaArgs { topics: Some(vec![text_of(name, id)]), ..MetaArgs::default() };
        let pending = self.invoked(node, &Text::default(), Operation::Meta(Call::new(args)));
        let by_name = self.chance(500);
        let topic = if by_name {
            MetadataRequestTopic { topic_id: TopicId::ZERO, name: Some(name.to_owned()) }
        } else {
            MetadataRequestTopic { topic_id: id, name: None }
        };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let answer = self.ask(node, false, METADATA_VERSION, &request).await.ok().flatten();
        let Some(topic) = answer.and_then(|answer| answer.topics.into_iter().next()) else {
            self.returned(&pending, 0, Status::Info, |_| ());
            return;
        };
        let (known, status) = match topic.error_code {
            ErrorCode::NONE => (vec![text_of(name, topic.topic_id)], Status::Ok),
            ErrorCode::UNKNOWN_TOPIC_ID | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => (Vec::new(), Status::Ok),
            _ => (Vec::new(), Status::Fail),
        };
        self.returned(
            &pending,
            if status == Status::Ok { 0 } else { topic.error_code.0 },
            status,
            |operation| {
                let Operation::Meta(call) = operation else { return };
                call.result = (status == Status::Ok).then_some(MetaResult { topics: known });
            },
        );
    }
}
