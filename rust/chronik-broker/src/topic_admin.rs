//! Making and deleting topics: for the handlers, for Metadata where topics are created on first use, and for whoever
//! embeds a broker.
//!
//! A topic is reported as created when every live node knows who leads each of its partitions, and as deleted when
//! every live node has forgotten it, so that whatever a client does next works at whichever node it asks.

use std::collections::HashMap;

use chronik_coord::{
    Action, CreateTopics, CreatedTopic, DeleteTopics, DeletedTopic, ItemError, NewTopic, ReplyBody,
    TopicDefaults, TopicRef,
};
use chronik_mutants::{Mutant, planted};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::TopicId;

use crate::broker::Broker;
use crate::controller::ControllerError;
use crate::errors;
use crate::world::random_u128;

/// Per topic, in order of the request: what became of it.
pub type Created = Vec<(String, Result<CreatedTopic, ItemError>)>;
/// Per topic, in order of the request: what became of it.
pub type Deleted = Vec<(TopicRef, Result<DeletedTopic, ItemError>)>;

impl Broker {
    /// Has the controller create `topics`, each on its own, and waits until every live node can serve them. A topic
    /// without an id is given one. With `validate_only` nothing is changed or proposed.
    ///
    /// A topic that was created but is not known everywhere at `deadline_ms` has error 7.
    pub async fn create_topics(
        &self,
        mut topics: Vec<NewTopic>,
        validate_only: bool,
        deadline_ms: u64,
    ) -> Created {
        for topic in topics.iter_mut().filter(|topic| topic.id == TopicId::ZERO) {
            topic.id = self.new_topic_id();
            if planted(Mutant::TopicIdReused) {
                topic.id = TopicId(topic.name.bytes().fold(1, |id, byte| id << 8 | u128::from(byte)));
            }
        }
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        let outcomes = if validate_only {
            self.check_creation(topics, deadline_ms).await
        } else {
            self.carry_out_creation(topics, deadline_ms).await
        };
        match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => names.into_iter().map(|name| (name, Err(error.clone()))).collect(),
        }
    }

    /// Has the controller delete topics, each on its own, and waits until every live node has forgotten them.
    ///
    /// A topic that was deleted but is still known somewhere at `deadline_ms` has error 7.
    pub async fn delete_topics(&self, topics: Vec<TopicRef>, deadline_ms: u64) -> Deleted {
        let checked = self.check_deletion(&topics);
        let valid: Vec<TopicRef> = topics
            .iter()
            .zip(&checked)
            .filter(|(_, refused)| refused.is_none())
            .map(|(topic, _)| topic.clone())
            .collect();
        let mut outcomes = self.carry_out_deletion(valid, deadline_ms).await.into_iter();
        let outcome = |refused: Option<ItemError>| match refused {
            Some(error) => Err(error),
            None => outcomes.next().map_or_else(|| Err(no_outcome()), |(_, outcome)| outcome),
        };
        let outcomes: Vec<_> = checked.into_iter().map(outcome).collect();
        topics.into_iter().zip(outcomes).collect()
    }

    /// An id for a new topic: random, and not one of the reserved ones.
    pub fn new_topic_id(&self) -> TopicId {
        loop {
            let id = TopicId(random_u128(&*self.world));
            if id != TopicId::ZERO && id != TopicId::META {
                return id;
            }
        }
    }

    /// The action that creates `topics` with this node's defaults, led by nodes that it sees alive.
    fn creation(&self, topics: Vec<NewTopic>) -> Action {
        let config = &self.node.config;
        let settings = self.node.image().broker_settings(config.node, &config.broker_config);
        Action::CreateTopics(CreateTopics {
            topics,
            live: self.node.view(|view| view.live()),
            defaults: TopicDefaults {
                partitions: settings.num_partitions,
                replication_factor: settings.default_replication_factor,
            },
        })
    }

    /// What the controller would say now, by its state here behind the gate.
    async fn check_creation(&self, topics: Vec<NewTopic>, deadline_ms: u64) -> Result<Created, ItemError> {
        let checked = self.controller_check(self.creation(topics), deadline_ms).await;
        match checked.map_err(|error| errors::refused(&error))?.body {
            ReplyBody::TopicsCreated(outcomes) => Ok(outcomes),
            other => Err(errors::refused(&ControllerError::from_reply(&other))),
        }
    }

    async fn carry_out_creation(
        &self,
        topics: Vec<NewTopic>,
        deadline_ms: u64,
    ) -> Result<Created, ItemError> {
        let reply = self
            .controller_call(self.creation(topics), deadline_ms)
            .await
            .map_err(|error| errors::refused(&error))?;
        let ReplyBody::TopicsCreated(mut outcomes) = reply.body else {
            return Err(errors::refused(&ControllerError::from_reply(&reply.body)));
        };
        let ids: Vec<TopicId> =
            outcomes.iter().filter_map(|(_, made)| Some(made.as_ref().ok()?.id)).collect();
        if !self.await_topics(reply.at, &ids, deadline_ms).await {
            for (_, outcome) in outcomes.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
                *outcome =
                    Err(timed_out("the topic is created, but not every node knew all its leaders in time"));
            }
        }
        Ok(outcomes)
    }

    /// Why each topic may not even be asked for, if so.
    fn check_deletion(&self, topics: &[TopicRef]) -> Vec<Option<ItemError>> {
        let config = &self.node.config;
        let allowed = self.node.image().broker_settings(config.node, &config.broker_config).delete_topics;
        let mut times: HashMap<&TopicRef, usize> = HashMap::new();
        for topic in topics {
            *times.entry(topic).or_default() += 1;
        }
        let check_one = |topic: &TopicRef| {
            if !allowed {
                let message = "topics cannot be deleted while delete.topic.enable is false".to_owned();
                return Some(ItemError { code: ErrorCode::TOPIC_DELETION_DISABLED, message });
            }
            let twice = times.get(topic).is_some_and(|times| *times > 1);
            let message = || "the topic is named more than once in this request".to_owned();
            twice.then(|| ItemError { code: ErrorCode::INVALID_REQUEST, message: message() })
        };
        topics.iter().map(check_one).collect()
    }

    async fn carry_out_deletion(&self, topics: Vec<TopicRef>, deadline_ms: u64) -> Deleted {
        if topics.is_empty() {
            return Deleted::new();
        }
        let action = Action::DeleteTopics(DeleteTopics { topics: topics.clone() });
        let error = match self.controller_call(action, deadline_ms).await {
            Ok(reply) => match reply.body {
                ReplyBody::TopicsDeleted(mut outcomes) => {
                    if !self.await_topics(reply.at, &[], deadline_ms).await {
                        for (_, outcome) in outcomes.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
                            *outcome =
                                Err(timed_out("the topic is deleted, but not every node knew it in time"));
                        }
                    }
                    return outcomes;
                }
                other => ControllerError::from_reply(&other),
            },
            Err(error) => error,
        };
        topics.into_iter().map(|topic| (topic, Err(errors::refused(&error)))).collect()
    }
}

fn timed_out(message: impl Into<String>) -> ItemError {
    ItemError { code: ErrorCode::REQUEST_TIMED_OUT, message: message.into() }
}

fn no_outcome() -> ItemError {
    let message = "the controller gave no outcome for this topic".to_owned();
    ItemError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message }
}

/// A topic with everything left to the defaults.
pub(crate) fn plain_topic(name: String) -> NewTopic {
    NewTopic {
        name,
        id: TopicId::ZERO,
        partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}
