//! Making topics exist: for CreateTopics, and for Metadata where topics are created on first use.
//!
//! A topic is reported as created when every live node knows who leads each of its partitions, so that whatever the
//! client does next works at whichever node it asks.

use chronik_coord::{Action, CreateTopics, CreatedTopic, ItemError, NewTopic, ReplyBody, TopicDefaults};
use chronik_wire::types::TopicId;

use crate::broker::Broker;
use crate::controller::ControllerError;
use crate::world::random_u128;

/// Per topic, what the controller said.
pub(crate) type Creations = Vec<(String, Result<CreatedTopic, ItemError>)>;

/// What became of a creation.
pub(crate) struct Creation {
    /// Per topic, in order of the request.
    pub(crate) outcomes: Creations,
    /// Whether every live node knows every leader.
    pub(crate) known_everywhere: bool,
}

impl Broker {
    /// An id for a new topic: random, and not one of the reserved ones.
    pub(crate) fn new_topic_id(&self) -> TopicId {
        loop {
            let id = TopicId(random_u128(&*self.world));
            if id != TopicId::ZERO && id != TopicId::META {
                return id;
            }
        }
    }

    /// The action that creates `topics` with this node's defaults, led by nodes that it sees alive.
    pub(crate) fn creation(&self, topics: Vec<NewTopic>) -> Action {
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

    /// Has the controller create `topics` and waits until every live node can serve them. A topic that exists already
    /// is waited for like a new one: somebody else may be creating it this moment.
    pub(crate) async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        deadline_ms: u64,
    ) -> Result<Creation, ControllerError> {
        let reply = self.controller_call(self.creation(topics), deadline_ms).await?;
        let outcomes = match reply.body {
            ReplyBody::TopicsCreated(outcomes) => outcomes,
            other => return Err(ControllerError::from_reply(&other)),
        };
        let mut ids: Vec<TopicId> =
            outcomes.iter().filter_map(|(_, made)| Some(made.as_ref().ok()?.id)).collect();
        if ids.len() < outcomes.len() && self.await_image(deadline_ms, |image| image.offset >= reply.at).await
        {
            let image = self.node.image();
            let failed = outcomes.iter().filter(|(_, made)| made.is_err());
            ids.extend(failed.filter_map(|(name, _)| Some(image.topic(name)?.id)));
        }
        let known_everywhere = self.await_topics(reply.at, &ids, deadline_ms).await;
        Ok(Creation { outcomes, known_everywhere })
    }
}

/// A topic with everything left to the defaults.
pub(crate) fn plain_topic(name: String, id: TopicId) -> NewTopic {
    NewTopic {
        name,
        id,
        partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}
