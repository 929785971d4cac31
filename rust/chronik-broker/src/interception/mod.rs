//! Requests that a test wants counted, delayed or refused before they are served.
//!
//! `rules` holds what was asked for, `refusal` says per API what a refused request is answered. Dispatch asks for every
//! request between decoding and serving; Produce, Fetch and Metadata ask themselves, since clients put several topics
//! into one request and a rule for one of them must leave the others alone. Without a rule it costs one load.
//!
//! What must not happen here: touching what brokers say to each other. A request that one node carries to another is
//! looked at once, where the client sent it.

mod refusal;
mod refused_administration;
mod refused_groups;
mod refused_partitions;
mod refused_shares;
mod rules;

use chronik_wire::api::ApiKey;
use chronik_wire::error_code::ErrorCode;

pub(crate) use self::refusal::{Named, Refusable};
pub use self::rules::{Interception, InterceptionError, InterceptionRule, Interceptions};
use crate::handlers::Context;
use crate::topics::TopicName;

/// The error a test wants, and the topic it wants it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The error to answer with.
    pub(crate) code: ErrorCode,
    topic: Option<String>,
}

impl Refused {
    /// Whether it is meant for a topic of this name.
    pub(crate) fn concerns(&self, topic: Option<&str>) -> bool {
        self.topic.is_none() || self.topic.as_deref() == topic
    }

    /// Whether it is meant for what a request names so.
    pub(crate) fn concerns_named(&self, context: &Context, topic: &TopicName) -> bool {
        self.concerns(context.name_of(topic).as_deref())
    }
}

impl Context {
    /// Counts and delays the request as the rules want, and says with what it is to be refused. Its time begins after
    /// the delay. Requests behind it on its connection wait as well, as they would behind a slow broker.
    pub(crate) async fn intercepted(
        &mut self,
        api: ApiKey,
        named: impl FnOnce() -> Named,
    ) -> Option<Refused> {
        let rules = &self.broker.node.config.interceptions;
        if rules.is_empty() || self.connection.between_nodes {
            return None;
        }
        let named = named();
        let verdict = rules.judge(self.broker.node.config.node, api, |topic| match &named {
            Named::Nothing => false,
            Named::AllTopics => true,
            Named::Topics(topics) => topics.iter().any(|name| self.name_of(name).as_deref() == Some(topic)),
        });
        if verdict.delay_ms > 0 {
            let world = std::rc::Rc::clone(&self.broker.world);
            self.connection.mute_until(world.now_ms() + verdict.delay_ms);
            self.connection.unmuted(&*world).await;
            self.arrived_ms = world.now_ms();
        }
        verdict.refused
    }

    /// What a topic is called that is named by id; `None` if there is none.
    fn name_of(&self, topic: &TopicName) -> Option<String> {
        match topic {
            TopicName::Name(name) => Some(name.clone()),
            TopicName::Id(_) => topic.find(&self.broker.node.image()).map(|topic| topic.name.to_string()),
        }
    }
}
