//! One function per kind of command: state and action in, outcome out.
//!
//! Each leaves the state untouched where it reports an error.

pub(crate) mod acls;
pub(crate) mod brokers;
pub(crate) mod configs;
pub(crate) mod partitions;
pub(crate) mod quotas;
pub(crate) mod reassignments;
pub(crate) mod topics;

use crate::command::Action;
use crate::controller::State;
use crate::limits;
use crate::reply::{ItemError, ReplyBody};
use chronik_wire::error_code::ErrorCode;

/// Carries out one action.
pub(crate) fn run(state: &mut State, action: &Action) -> ReplyBody {
    let outcome = match action {
        Action::SetClusterId { cluster_id } => brokers::set_cluster_id(state, cluster_id),
        Action::RegisterBroker(registration) => brokers::register(state, registration),
        Action::UnregisterBroker { id } => brokers::unregister(state, *id),
        Action::CreateTopics(create) => {
            bounded(create.topics.len()).map(|()| ReplyBody::TopicsCreated(topics::create(state, create)))
        }
        Action::DeleteTopics(delete) => {
            bounded(delete.topics.len()).map(|()| ReplyBody::TopicsDeleted(topics::delete(state, delete)))
        }
        Action::AlterConfigs(alter) => {
            bounded(alter.resources.len()).map(|()| ReplyBody::ConfigsAltered(configs::alter(state, alter)))
        }
        Action::AlterReassignments(alter) => bounded(alter.partitions.len())
            .map(|()| ReplyBody::ReassignmentsAltered(reassignments::alter(state, alter))),
        Action::CompleteReassignments { arrived } => {
            bounded(arrived.len()).map(|()| reassignments::complete(state, arrived))
        }
        Action::CreatePartitions(create) => bounded(create.topics.len())
            .map(|()| ReplyBody::PartitionsCreated(partitions::create(state, create))),
        Action::AlterQuotas(alter) => {
            bounded(alter.entries.len()).map(|()| ReplyBody::QuotasAltered(quotas::alter(state, alter)))
        }
        Action::CreateAcls { acls } => {
            bounded(acls.len()).map(|()| ReplyBody::AclsCreated(acls::create(state, acls)))
        }
        Action::DeleteAcls { filters } => {
            bounded(filters.len()).map(|()| ReplyBody::AclsDeleted(acls::delete(state, filters)))
        }
        Action::DrainBroker(drain) => reassignments::drain(state, drain),
        Action::ReadmitBroker { id } => reassignments::readmit(state, *id),
        Action::ReplaceReplicas { broker, replicas } => reassignments::replace(state, *broker, replicas),
        Action::AllocateProducerIds { broker } => brokers::allocate_producer_ids(state, *broker),
    };
    outcome.unwrap_or_else(ReplyBody::Rejected)
}

fn bounded(items: usize) -> Result<(), ItemError> {
    if items > limits::ITEMS_PER_COMMAND_MAX {
        return Err(ItemError::new(
            ErrorCode::POLICY_VIOLATION,
            format!(
                "{items} items exceed the {} allowed at a time; send fewer",
                limits::ITEMS_PER_COMMAND_MAX
            ),
        ));
    }
    Ok(())
}
