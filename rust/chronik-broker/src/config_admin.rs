//! Changing configuration: the one way for both requests that do it.
//!
//! The controller decides, each resource on its own, all or nothing within one. A change is reported when every live node
//! acts on it, so that whichever node is asked next shows it.

use chronik_coord::{
    Action, AlterConfigs, Change, ConfigChange, ConfigResource, ItemError, ReplyBody, check_topic_name,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;

use crate::broker::Broker;
use crate::controller::ControllerError;
use crate::errors;

/// Kafka's number of a topic as a resource.
pub(crate) const TOPIC: i8 = 2;
/// Kafka's number of a broker as a resource.
pub(crate) const BROKER: i8 = 4;
/// Kafka's number of a broker's loggers as a resource.
pub(crate) const BROKER_LOGGER: i8 = 8;
/// Kafka's number of client metrics as a resource.
pub(crate) const CLIENT_METRICS: i8 = 16;
/// Kafka's number of a group as a resource.
pub(crate) const GROUP: i8 = 32;

/// What a request asks of one resource, or why it cannot be asked.
pub(crate) type Wish = Result<ConfigChange, ItemError>;

impl Broker {
    /// The resource that a request names.
    pub(crate) fn config_resource(&self, kind: i8, name: &str) -> Result<ConfigResource, ItemError> {
        match kind {
            TOPIC => {
                // A reserved name is legal here if there is such a topic.
                if self.node.image().topic(name).is_none() {
                    check_topic_name(name)?;
                }
                Ok(ConfigResource::Topic(name.to_owned()))
            }
            BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
            BROKER => self.own_broker(name),
            GROUP if name.is_empty() => {
                Err(refusal("there is no default configuration of groups; name one".to_owned()))
            }
            GROUP => Ok(ConfigResource::Group(name.to_owned())),
            other => Err(refusal(format!(
                "resource type {other} has no configuration that can change; name 2 (topic), 4 (broker) or 32 (group)"
            ))),
        }
    }

    /// A broker's own configuration is changed where it is: that is where clients send it.
    fn own_broker(&self, name: &str) -> Result<ConfigResource, ItemError> {
        let own = self.node.config.node;
        match name.parse().map(NodeId) {
            Ok(node) if node == own => Ok(ConfigResource::Broker(Some(own))),
            _ => Err(refusal(format!("this is broker {own}; the change of broker {name:?} belongs there"))),
        }
    }

    /// The wish to change a resource. What a group asks for must keep within the bounds that this broker was started with;
    /// the controller knows only what all brokers share.
    pub(crate) fn config_wish(&self, resource: ConfigResource, change: Change) -> Wish {
        let (image, config) = (self.node.image(), &self.node.config);
        let change = ConfigChange { resource, change };
        image.check_group_change(&change, config.node, &config.broker_config)?;
        Ok(change)
    }

    /// Has the controller carry out the wishes that are in order, and waits until every live node acts on them. With
    /// `validate_only` nothing is changed. One outcome per wish, in order.
    pub(crate) async fn alter_configs(
        &self,
        wishes: Vec<Wish>,
        validate_only: bool,
        deadline_ms: u64,
    ) -> Vec<Result<(), ItemError>> {
        let changes: Vec<ConfigChange> =
            wishes.iter().filter_map(|wish| wish.as_ref().ok().cloned()).collect();
        let asked = changes.len();
        let outcomes = if asked == 0 {
            Vec::new()
        } else {
            let carried_out = self.carry_out_alteration(changes, validate_only, deadline_ms).await;
            carried_out.unwrap_or_else(|error| vec![Err(error); asked])
        };
        let mut outcomes = outcomes.into_iter();
        let outcome = |wish: Wish| wish.and_then(|_| outcomes.next().unwrap_or_else(|| Err(no_outcome())));
        wishes.into_iter().map(outcome).collect()
    }

    async fn carry_out_alteration(
        &self,
        resources: Vec<ConfigChange>,
        validate_only: bool,
        deadline_ms: u64,
    ) -> Result<Vec<Result<(), ItemError>>, ItemError> {
        let action = Action::AlterConfigs(AlterConfigs { resources });
        let reply = if validate_only {
            self.controller_check(action, deadline_ms).await
        } else {
            self.controller_call(action, deadline_ms).await
        };
        let reply = reply.map_err(|error| errors::refused(&error))?;
        let ReplyBody::ConfigsAltered(outcomes) = reply.body else {
            return Err(errors::refused(&ControllerError::from_reply(&reply.body)));
        };
        let mut outcomes: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        let changed = !validate_only && outcomes.iter().any(Result::is_ok);
        if changed && !self.await_topics(reply.at, &[], deadline_ms).await {
            let message = "the configuration is changed, but not every node knew it in time".to_owned();
            let late = ItemError { code: ErrorCode::REQUEST_TIMED_OUT, message };
            outcomes
                .iter_mut()
                .filter(|outcome| outcome.is_ok())
                .for_each(|outcome| *outcome = Err(late.clone()));
        }
        Ok(outcomes)
    }
}

/// The error of a request that makes no sense.
pub(crate) fn refusal(message: String) -> ItemError {
    ItemError { code: ErrorCode::INVALID_REQUEST, message }
}

fn no_outcome() -> ItemError {
    let message = "the controller gave no outcome for this resource".to_owned();
    ItemError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message }
}
