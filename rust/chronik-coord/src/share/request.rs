//! What a share coordinator is asked and what it answers. Every question is about one share-partition.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::delivery::StateBatch;

/// A group and a partition that it shares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey {
    /// The group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: TopicId,
    /// The partition's number within it.
    pub partition: PartitionIndex,
}

impl ShareKey {
    /// The name under which its coordinator is found: the group, the topic's id as Kafka writes it and the partition.
    pub fn name(&self) -> String {
        format!("{}:{}:{}", self.group, self.topic.to_base64(), self.partition)
    }

    /// The share-partition of a name. A group id may have colons in it.
    pub fn from_name(name: &str) -> Option<ShareKey> {
        let (rest, partition) = name.rsplit_once(':')?;
        let (group, topic) = rest.rsplit_once(':')?;
        let partition = PartitionIndex(partition.parse().ok().filter(|partition| *partition >= 0)?);
        let topic = TopicId::from_base64(topic)?;
        (!group.is_empty()).then(|| ShareKey { group: Arc::from(group), topic, partition })
    }
}

/// A question about one share-partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareRequest {
    /// Which.
    pub key: ShareKey,
    /// What.
    pub call: ShareCall,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareCall {
    /// Begin an account, or begin it anew: nothing of what came before counts in a new state epoch.
    Initialize {
        /// The epoch of the new account; -1 for whatever is in force.
        state_epoch: i32,
        /// Where to begin; -1 leaves that to the leader, and an account that exists as it is.
        start: Offset,
    },
    /// A leader takes over.
    Read {
        /// Its epoch; leaders of lower ones are fenced from now on.
        leader_epoch: LeaderEpoch,
    },
    /// A leader tells what is new.
    Write {
        /// The epoch of the account it goes on with.
        state_epoch: i32,
        /// Its own epoch.
        leader_epoch: LeaderEpoch,
        /// The first record that is not done; -1 if that is not told.
        start: Offset,
        /// What is new of records from there on.
        batches: Vec<StateBatch>,
    },
    /// How far the group is.
    Summarize,
    /// Forget the account.
    Delete,
}

/// The account of one share-partition, as its next leader needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareAccount {
    /// The epoch of the account.
    pub state_epoch: i32,
    /// The first record that is not done; -1 if nobody has decided yet where to begin.
    pub start: Offset,
    /// What has become of records from there on.
    pub batches: Vec<StateBatch>,
}

/// How far a group is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareSummary {
    /// The epoch of the account; 0 if there is none.
    pub state_epoch: i32,
    /// The highest epoch of a leader that has read it.
    pub leader_epoch: LeaderEpoch,
    /// The first record that is not done; -1 if there is no account, or nobody has decided yet.
    pub start: Offset,
    /// How many records from there on are done; -1 without a start.
    pub complete_count: i32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareAnswer {
    /// It is done.
    Done,
    /// What a new leader goes on with.
    Account(ShareAccount),
    /// How far the group is.
    Summary(ShareSummary),
}

/// An answer or the error that there is instead.
pub type ShareReply = Result<ShareAnswer, ErrorCode>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_share_partition_it_is() {
        for group in ["readers", "a:b:c"] {
            let key =
                ShareKey { group: Arc::from(group), topic: TopicId(7 << 70), partition: PartitionIndex(3) };
            assert_eq!(ShareKey::from_name(&key.name()), Some(key));
        }
        for wrong in
            ["", "readers", "readers:x:1", ":AAAAAAAAAAAAAAAAAAAAAQ:1", "r:AAAAAAAAAAAAAAAAAAAAAQ:-1"]
        {
            assert_eq!(ShareKey::from_name(wrong), None, "{wrong}");
        }
    }
}
