//! What a member says of records, as ShareFetch and ShareAcknowledge carry it.

use std::rc::Rc;
use std::sync::Arc;

use chronik_coord::share::{AcknowledgeType, Acknowledgement};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::share_fetch::AcknowledgementBatch;
use chronik_wire::types::{Offset, PartitionIndex, PartitionKey};
use tokio::sync::oneshot;

use super::leader::ShareAsk;
use super::sessions::{ShareMember, SharedPartition};
use crate::broker::Broker;
use crate::counters::count;

/// What is said of the records of one partition.
pub(crate) type Said = (SharedPartition, Vec<AcknowledgementBatch>);

impl Broker {
    /// Has the leaders take what a member says, and waits until it is written down. The codes are in the order of the
    /// partitions; everything is under way before anything is waited for.
    pub(crate) async fn acknowledge_shares(
        self: &Rc<Self>,
        who: ShareMember,
        said: Vec<Said>,
        may_renew: bool,
    ) -> Vec<ErrorCode> {
        let mut answers = Vec::with_capacity(said.len());
        for (partition, batches) in said {
            answers.push(match understood(&batches, may_renew) {
                Ok(said) => self.tell_leader(&who, partition, said).await,
                Err(code) => Err(code),
            });
        }
        let mut codes = Vec::with_capacity(answers.len());
        for answer in answers {
            let code = match answer {
                // A leader that goes says nothing to those who wait.
                Ok(reply) => reply.await.unwrap_or(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                Err(code) => code,
            };
            if code == ErrorCode::NONE {
                count(&self.node.counters.share_acknowledgements);
            } else {
                count(&self.node.counters.share_acknowledgements_refused);
            }
            codes.push(code);
        }
        codes
    }

    async fn tell_leader(
        &self,
        who: &ShareMember,
        (topic, partition): SharedPartition,
        said: Vec<Acknowledgement>,
    ) -> Result<oneshot::Receiver<ErrorCode>, ErrorCode> {
        let key = PartitionKey::new(topic, PartitionIndex(partition));
        let absent = || self.absent_leader(key);
        let door = self.node.share.door(&who.group, key).ok_or_else(absent)?;
        let (reply, answer) = oneshot::channel();
        let member = Arc::clone(&who.member);
        let ask = ShareAsk::Acknowledge { member, said, reply };
        door.inbox.send(ask).await.map_err(|_| absent())?;
        Ok(answer)
    }

    /// Why there is no leader of a share-partition here: the partition is led elsewhere or nowhere, or nothing of it has
    /// been handed out since it came here.
    fn absent_leader(&self, key: PartitionKey) -> ErrorCode {
        let image = self.node.image();
        let Some(topic) = image.topic_by_id(key.topic) else { return ErrorCode::UNKNOWN_TOPIC_ID };
        if usize::try_from(key.partition.0).is_ok_and(|index| index >= topic.partitions.len()) {
            return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        }
        match self.coordinator_node(key) {
            Some(node) if node == self.node.config.node => ErrorCode::INVALID_RECORD_STATE,
            _ => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        }
    }
}

/// What the member means.
///
/// # Errors
/// 42: ranges that are empty or out of order, unknown types, another number of types than of records, or a renewal in a
/// request that does not say that it has any.
fn understood(batches: &[AcknowledgementBatch], may_renew: bool) -> Result<Vec<Acknowledgement>, ErrorCode> {
    let mut end = i64::MIN;
    let mut said = Vec::with_capacity(batches.len());
    for batch in batches {
        let length =
            batch.last_offset.checked_sub(batch.first_offset).and_then(|length| length.checked_add(1));
        let fits = |length: i64| {
            batch.acknowledge_types.len() == 1 || i64::try_from(batch.acknowledge_types.len()) == Ok(length)
        };
        if !length.is_some_and(|length| length > 0 && fits(length)) || batch.first_offset < end {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        end = batch.last_offset;
        let kind = |number: &i8| {
            AcknowledgeType::from_number(*number).filter(|kind| may_renew || *kind != AcknowledgeType::Renew)
        };
        let types: Option<Vec<AcknowledgeType>> = batch.acknowledge_types.iter().map(kind).collect();
        said.push(Acknowledgement {
            first: Offset(batch.first_offset),
            last: Offset(batch.last_offset),
            types: types.ok_or(ErrorCode::INVALID_REQUEST)?,
        });
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first_offset: i64, last_offset: i64, types: &[i8]) -> AcknowledgementBatch {
        AcknowledgementBatch { first_offset, last_offset, acknowledge_types: types.to_vec() }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let ok = |batches: &[AcknowledgementBatch], may_renew| understood(batches, may_renew).is_ok();
        assert!(ok(&[batch(0, 2, &[1]), batch(3, 4, &[0, 3])], false));
        assert!(ok(&[batch(0, 0, &[4])], true));
        for wrong in [
            vec![batch(2, 1, &[1])],
            vec![batch(0, 2, &[])],
            vec![batch(0, 2, &[1, 1])],
            vec![batch(0, 2, &[5])],
            vec![batch(0, 2, &[-1])],
            vec![batch(0, 2, &[4])],
            vec![batch(3, 4, &[1]), batch(0, 2, &[1])],
            vec![batch(i64::MIN, i64::MAX, &[1])],
        ] {
            assert_eq!(understood(&wrong, false), Err(ErrorCode::INVALID_REQUEST), "{wrong:?}");
        }
    }
}
