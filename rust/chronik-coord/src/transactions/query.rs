//! DescribeTransactions and ListTransactions: what is so of transactional ids.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_transactions::{TopicData, TransactionState as DescribedTransaction};
use chronik_wire::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState as ListedTransaction,
};

use super::machine::Transactions;
use super::request::{TransactionReply, list_refused};
use super::transaction::{NO_TIMESTAMP, Partitions, Transaction, TransactionStatus};
use crate::coordinator::Moment;
use crate::pattern::Pattern;

/// Kafka's states that no transaction of ours is ever in: a filter may name them, and finds nothing.
const STATES_NEVER_SEEN: [&str; 2] = ["Dead", "PrepareEpochFence"];

impl Transactions {
    pub(super) fn describe(&self, transactional_id: String) -> TransactionReply {
        let found = self.state.get(&transactional_id);
        let mut described = DescribedTransaction { transactional_id, ..Default::default() };
        match found {
            _ if described.transactional_id.is_empty() => described.error_code = ErrorCode::INVALID_REQUEST,
            None => described.error_code = ErrorCode::TRANSACTIONAL_ID_NOT_FOUND,
            Some(transaction) => {
                (described.producer_id, described.producer_epoch) = transaction.producer();
                described.transaction_state = transaction.status.name().to_owned();
                described.transaction_timeout_ms = transaction.timeout_ms;
                described.transaction_start_time_ms = transaction.started_ms;
                described.topics = topics(&transaction.partitions);
            }
        }
        TransactionReply::Describe(described)
    }

    pub(super) fn list(&self, request: &ListTransactionsRequest, moment: Moment) -> TransactionReply {
        let pattern = match request.transactional_id_pattern.as_deref() {
            None | Some("") => None,
            Some(text) => match Pattern::new(text) {
                Some(pattern) => Some(pattern),
                None => return list_refused(ErrorCode::INVALID_REGULAR_EXPRESSION),
            },
        };
        let unknown_state_filters =
            request.state_filters.iter().filter(|name| !is_state(name)).cloned().collect();
        let transaction_states = self
            .state
            .iter()
            .filter(|(_, transaction)| passes(request, transaction, moment))
            .filter(|(id, _)| pattern.as_ref().is_none_or(|pattern| pattern.matches(id)))
            .map(|(id, transaction)| ListedTransaction {
                transactional_id: id.to_string(),
                producer_id: transaction.producer_id,
                transaction_state: transaction.status.name().to_owned(),
            })
            .collect();
        TransactionReply::List(ListTransactionsResponse {
            unknown_state_filters,
            transaction_states,
            ..Default::default()
        })
    }
}

fn is_state(name: &str) -> bool {
    STATES_NEVER_SEEN.contains(&name) || TransactionStatus::ALL.iter().any(|status| status.name() == name)
}

fn passes(request: &ListTransactionsRequest, transaction: &Transaction, moment: Moment) -> bool {
    let states = &request.state_filters;
    let producers = &request.producer_id_filters;
    let duration_ms = request.duration_filter;
    let running_ms = match transaction.started_ms {
        NO_TIMESTAMP => None,
        started_ms => Some(moment.wall_ms.saturating_sub(started_ms)),
    };
    (states.is_empty() || states.iter().any(|state| state == transaction.status.name()))
        && (producers.is_empty() || producers.contains(&transaction.producer_id))
        && (duration_ms < 0 || running_ms.is_some_and(|running_ms| running_ms > duration_ms))
}

fn topics(partitions: &Partitions) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    for (topic, partition) in partitions {
        match topics.last_mut() {
            Some(last) if *last.topic == **topic => last.partitions.push(partition.0),
            _ => topics.push(TopicData { topic: topic.to_string(), partitions: vec![partition.0] }),
        }
    }
    topics
}
