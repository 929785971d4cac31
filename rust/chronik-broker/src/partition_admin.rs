//! Letting topics grow: for the handler, and for whoever embeds a broker.
//!
//! New partitions are reported when every live node knows who leads each partition of the topic, as with a new topic.

use chronik_coord::{Action, CreatePartitions, ItemError, MorePartitions, ReplyBody};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::TopicId;

use crate::broker::Broker;
use crate::cluster_picture::is_internal;
use crate::controller::ControllerError;
use crate::errors;

impl Broker {
    /// Has the controller let topics grow, each on its own, and waits until every live node can serve them. With
    /// `validate_only` nothing is changed or proposed. One outcome per wish, in order.
    ///
    /// A topic that has grown but is not known everywhere at `deadline_ms` has error 7.
    pub async fn create_partitions(
        &self,
        wishes: Vec<MorePartitions>,
        validate_only: bool,
        deadline_ms: u64,
    ) -> Vec<Result<(), ItemError>> {
        let refused: Vec<Option<ItemError>> = wishes.iter().map(check).collect();
        let valid: Vec<MorePartitions> = wishes
            .into_iter()
            .zip(&refused)
            .filter(|(_, refused)| refused.is_none())
            .map(|(wish, _)| wish)
            .collect();
        let asked = valid.len();
        let outcomes = if asked == 0 {
            Vec::new()
        } else {
            let grown = self.carry_out_growth(valid, validate_only, deadline_ms).await;
            grown.unwrap_or_else(|error| vec![Err(error); asked])
        };
        let mut outcomes = outcomes.into_iter();
        let outcome = |refused: Option<ItemError>| match refused {
            Some(error) => Err(error),
            None => outcomes.next().unwrap_or_else(|| Err(no_outcome())),
        };
        refused.into_iter().map(outcome).collect()
    }

    async fn carry_out_growth(
        &self,
        topics: Vec<MorePartitions>,
        validate_only: bool,
        deadline_ms: u64,
    ) -> Result<Vec<Result<(), ItemError>>, ItemError> {
        let live = self.node.view(|view| view.live());
        let action = Action::CreatePartitions(CreatePartitions { topics, live });
        let reply = if validate_only {
            self.controller_check(action, deadline_ms).await
        } else {
            self.controller_call(action, deadline_ms).await
        };
        let reply = reply.map_err(|error| errors::refused(&error))?;
        let ReplyBody::PartitionsCreated(outcomes) = reply.body else {
            return Err(errors::refused(&ControllerError::from_reply(&reply.body)));
        };
        let grown: Vec<TopicId> =
            outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
        let known =
            validate_only || grown.is_empty() || self.await_topics(reply.at, &grown, deadline_ms).await;
        let settle = |outcome: Result<TopicId, ItemError>| match outcome {
            Ok(_) if !known => Err(late()),
            outcome => outcome.map(|_| ()),
        };
        Ok(outcomes.into_iter().map(settle).collect())
    }
}

/// The coordinator of a group or transaction follows from the number of partitions: it must stay what it is.
fn check(wish: &MorePartitions) -> Option<ItemError> {
    let message = || format!("topic {:?} is internal; its number of partitions cannot change", wish.name);
    is_internal(&wish.name)
        .then(|| ItemError { code: ErrorCode::INVALID_TOPIC_EXCEPTION, message: message() })
}

fn late() -> ItemError {
    let message = "the topic has grown, but not every node knew all its leaders in time".to_owned();
    ItemError { code: ErrorCode::REQUEST_TIMED_OUT, message }
}

fn no_outcome() -> ItemError {
    let message = "the controller gave no outcome for this topic".to_owned();
    ItemError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message }
}
