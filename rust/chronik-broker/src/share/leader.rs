//! The leader of one share-partition at work: one task that does everything in the order in which it comes.
//!
//! It begins with what the share coordinator has written down, and writes down there, one write at a time, what members
//! say. Its readers may live on another shard; the log is read where the partition is. It ends when nobody can come in any
//! more, or when the coordinator says that another leader or another account has taken its place.

use std::collections::BTreeMap;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use chronik_coord::config_catalogue::AutoOffsetReset;
use chronik_coord::share::{
    Accepted, AcknowledgeType, Acknowledgement, AcquiredRange, ShareAccount, ShareAnswer, ShareCall,
    ShareKey, SharePartition, ShareReply, Wanted,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{LeaderEpoch, Offset, PartitionKey};
use tokio::sync::{mpsc, oneshot, watch};

use super::ShareDoor;
use super::log_read::{LogRead, batches_with, read_log};
use super::rules::ShareRules;
use crate::broker::Broker;
use crate::counters::count;
use crate::limits;
use crate::world::LocalFuture;

/// The epoch of an account for whoever does not know one.
const ANY_STATE_EPOCH: i32 = -1;

/// What a leader is asked.
pub(crate) enum ShareAsk {
    /// Records for a member; none if there are none.
    Fetch { wanted: Wanted, bytes_max: usize, reply: oneshot::Sender<Result<Acquired, ErrorCode>> },
    /// A member says what became of records.
    Acknowledge { member: Arc<str>, said: Vec<Acknowledgement>, reply: oneshot::Sender<ErrorCode> },
    /// A member has gone.
    Release { member: Arc<str> },
}

/// Records that a member has from now on.
#[derive(Debug, Default)]
pub(crate) struct Acquired {
    /// The batches that hold them.
    pub(crate) batches: Vec<Bytes>,
    /// Which they are.
    pub(crate) ranges: Vec<AcquiredRange>,
}

impl Broker {
    /// The leader of a share-partition in an epoch in which this node leads the partition.
    pub(crate) fn share_leader(
        self: &Rc<Self>,
        group: &Arc<str>,
        key: PartitionKey,
        epoch: LeaderEpoch,
    ) -> ShareDoor {
        let (inbox, asks) = mpsc::channel(limits::SHARE_ASKS_QUEUED_MAX);
        let (changes, changed) = watch::channel(0);
        let number = self.node.share.next_number();
        let new = || ShareDoor { epoch, number, inbox, changes: changed };
        let (door, is_new) = self.node.share.door_or(group, key, new, epoch);
        if is_new {
            let share = ShareKey { group: group.clone(), topic: key.topic, partition: key.partition };
            let (broker, inside) = (Rc::clone(self), (asks, changes));
            self.world.spawn(Box::pin(async move {
                lead(&broker, &share, key, epoch, inside).await;
                broker.node.share.close(&share.group, key, number);
            }));
        }
        door
    }
}

/// Leads a share-partition until nobody comes in any more.
async fn lead(
    broker: &Rc<Broker>,
    id: &ShareKey,
    key: PartitionKey,
    epoch: LeaderEpoch,
    (inbox, changes): (mpsc::Receiver<ShareAsk>, watch::Sender<u64>),
) {
    let deadline_ms = broker.world.now_ms() + limits::SHARE_LOAD_MS;
    let account = match load(broker, id, key, epoch, deadline_ms).await {
        Ok(account) => account,
        Err(code) => {
            tracing::info!(node = broker.node.config.node.0, group = %id.group, partition = ?key, code = code.0,
                "a share-partition cannot be led: its account cannot be read");
            return;
        }
    };
    count(&broker.node.counters.share_partitions_loaded);
    let leader = ShareLeader {
        broker: Rc::clone(broker),
        id: id.clone(),
        key,
        epoch,
        state_epoch: account.state_epoch,
        share: SharePartition::load(account.start, &account.batches),
        inbox,
        changes,
        write: None,
        waiting: BTreeMap::new(),
        is_closing: false,
    };
    leader.serve().await;
}

/// The account to go on with, begun if there is none, and with a place to begin at.
async fn load(
    broker: &Rc<Broker>,
    id: &ShareKey,
    key: PartitionKey,
    epoch: LeaderEpoch,
    deadline_ms: u64,
) -> Result<ShareAccount, ErrorCode> {
    let read = ShareCall::Read { leader_epoch: epoch };
    let mut reply = broker.ask_share_coordinator(id, &read, deadline_ms).await;
    if reply == Err(ErrorCode::INVALID_REQUEST) {
        let begin = ShareCall::Initialize { state_epoch: ANY_STATE_EPOCH, start: Offset::UNKNOWN };
        broker.ask_share_coordinator(id, &begin, deadline_ms).await?;
        reply = broker.ask_share_coordinator(id, &read, deadline_ms).await;
    }
    let ShareAnswer::Account(mut account) = reply? else { return Err(ErrorCode::UNKNOWN_SERVER_ERROR) };
    if account.start.0 < 0 {
        account.start = beginning(broker, &id.group, key, epoch).await?;
        // Written down before anything is handed out: the next leader must not begin elsewhere.
        let write = ShareCall::Write {
            state_epoch: account.state_epoch,
            leader_epoch: epoch,
            start: account.start,
            batches: Vec::new(),
        };
        broker.ask_share_coordinator(id, &write, deadline_ms).await?;
    }
    Ok(account)
}

/// Where a group begins that has never read the partition. This node has passed the read gate of the partition, so that
/// "latest" is behind everything that was acknowledged before the group came.
async fn beginning(
    broker: &Rc<Broker>,
    group: &str,
    key: PartitionKey,
    epoch: LeaderEpoch,
) -> Result<Offset, ErrorCode> {
    let beginning = broker.share_rules(group).beginning;
    let wall_ms = broker.world.wall_ms();
    let found = broker.hosts.with(key, move |host| {
        let view = host.view(key).map_err(|error| crate::errors::replica(&error))?;
        if !view.confirmed || view.leader_epoch != epoch {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        match beginning {
            AutoOffsetReset::Latest => Ok(view.high_watermark),
            AutoOffsetReset::Earliest => Ok(view.log_start),
            AutoOffsetReset::ByDuration { duration_ms } => {
                let since_ms = wall_ms.saturating_sub(duration_ms);
                let batch = host.batch_for_timestamp(key, since_ms, view.high_watermark);
                let batch = batch.map_err(|error| crate::errors::read(&error))?;
                let first = batch.map_or(view.high_watermark, |batch| batch.base_offset);
                Ok(first.max(view.log_start))
            }
        }
    });
    found.await.map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)?
}

/// A write under way.
type Writing = LocalFuture<ShareReply>;

struct ShareLeader {
    broker: Rc<Broker>,
    id: ShareKey,
    key: PartitionKey,
    epoch: LeaderEpoch,
    state_epoch: i32,
    share: SharePartition,
    inbox: mpsc::Receiver<ShareAsk>,
    changes: watch::Sender<u64>,
    write: Option<Writing>,
    /// Who waits for which write.
    waiting: BTreeMap<u64, Vec<oneshot::Sender<ErrorCode>>>,
    /// Nobody comes in any more; what was said before is still written down.
    is_closing: bool,
}

impl ShareLeader {
    async fn serve(mut self) {
        let broker = Rc::clone(&self.broker);
        while !(self.is_closing && self.write.is_none()) {
            let deadline_ms = self.share.next_deadline_ms().filter(|_| !self.is_closing);
            tokio::select! {
                biased;
                reply = written(&mut self.write) => {
                    if !self.on_written(reply) {
                        return;
                    }
                }
                asked = self.inbox.recv(), if !self.is_closing => match asked {
                    Some(asked) => self.take(asked).await,
                    None => self.is_closing = true,
                },
                () = broker.clock_reaches(deadline_ms) => {}
            }
            self.take_back_late();
            self.write_down();
        }
    }

    fn rules(&self) -> ShareRules {
        self.broker.share_rules(&self.id.group)
    }

    async fn take(&mut self, asked: ShareAsk) {
        // What is late by now is late for whoever asks.
        self.take_back_late();
        match asked {
            ShareAsk::Fetch { wanted, bytes_max, reply } => {
                if reply.is_closed() {
                    return;
                }
                let acquired = self.fetch(&wanted, bytes_max).await;
                if let Err(Ok(unwanted)) = reply.send(acquired) {
                    // Whoever asked has gone and never got them.
                    self.share.take_back(&wanted.member, &unwanted.ranges);
                    self.note_change();
                }
            }
            ShareAsk::Acknowledge { member, said, reply } => self.acknowledge(&member, &said, reply),
            ShareAsk::Release { member } => {
                if self.share.release(&member, &self.rules().delivery) {
                    self.note_change();
                }
            }
        }
    }

    async fn fetch(&mut self, wanted: &Wanted, bytes_max: usize) -> Result<Acquired, ErrorCode> {
        let rules = self.rules();
        for _ in 0..limits::SHARE_READS_PER_FETCH_MAX {
            let Some(from) = self.share.next_fetch_offset(&rules.delivery) else { break };
            let read = LogRead {
                key: self.key,
                epoch: self.epoch,
                from,
                committed_only: rules.committed_only,
                bytes_max,
                at_least_one: true,
            };
            let found = self.broker.hosts.with(self.key, move |host| read_log(host, read));
            let found = found.await.map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)??;
            self.share.on_log_start(found.log_start);
            let now_ms = self.broker.world.clock_ms();
            let ranges = self.share.acquire(wanted, from, &found.ranges, &rules.delivery, now_ms);
            if !ranges.is_empty() {
                let batches = batches_with(found, &ranges);
                return Ok(Acquired { batches, ranges });
            }
            // What was there was nobody's; there may be something behind it.
            if self.share.next_fetch_offset(&rules.delivery) == Some(from) {
                break;
            }
        }
        Ok(Acquired::default())
    }

    fn acknowledge(&mut self, member: &str, said: &[Acknowledgement], reply: oneshot::Sender<ErrorCode>) {
        let (now_ms, rules) = (self.broker.world.clock_ms(), self.rules());
        let renews = said.iter().any(|one| one.types.contains(&AcknowledgeType::Renew));
        let accepted = if renews && !rules.may_renew {
            Err(ErrorCode::INVALID_RECORD_STATE)
        } else {
            self.share.acknowledge(member, said, &rules.delivery, now_ms)
        };
        if renews && accepted.is_ok() {
            count(&self.broker.node.counters.share_locks_renewed);
        }
        // Whoever asked may have gone; what it said counts all the same.
        match accepted {
            Ok(Accepted::WithWrite(number)) => self.waiting.entry(number).or_default().push(reply),
            Ok(Accepted::Done) => drop(reply.send(ErrorCode::NONE)),
            Err(code) => drop(reply.send(code)),
        }
    }

    /// Takes back what members have held for too long.
    fn take_back_late(&mut self) {
        let now_ms = self.broker.world.clock_ms();
        if self.share.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms)
            && self.share.on_time(&self.rules().delivery, now_ms)
        {
            count(&self.broker.node.counters.share_locks_expired);
            self.note_change();
        }
    }

    /// Begins to write what the coordinator does not know, unless a write is under way.
    fn write_down(&mut self) {
        let Some(write) = self.share.take_write() else { return };
        count(&self.broker.node.counters.share_state_writes);
        let call = ShareCall::Write {
            state_epoch: self.state_epoch,
            leader_epoch: self.epoch,
            start: write.start,
            batches: write.batches,
        };
        let (broker, id) = (Rc::clone(&self.broker), self.id.clone());
        let deadline_ms = broker.world.now_ms() + limits::SHARE_WRITE_MS;
        self.write =
            Some(Box::pin(async move { broker.ask_share_coordinator(&id, &call, deadline_ms).await }));
    }

    /// Says whether to go on.
    fn on_written(&mut self, reply: ShareReply) -> bool {
        self.write = None;
        let code = reply.err().unwrap_or(ErrorCode::NONE);
        let (goes_on, told) = match code {
            ErrorCode::NONE => (true, code),
            // Nobody could write it down. Whoever still comes in tries again.
            ErrorCode::COORDINATOR_NOT_AVAILABLE => (!self.is_closing, code),
            // Another leader, another account, or none any more.
            _ => (false, ErrorCode::NOT_LEADER_OR_FOLLOWER),
        };
        let number = self.share.write_under_way();
        if self.share.on_written(code == ErrorCode::NONE) {
            self.note_change();
        }
        let waited = number.and_then(|number| self.waiting.remove(&number)).unwrap_or_default();
        for reply in waited {
            // Whoever asked may have gone.
            let _ = reply.send(told);
        }
        if told == ErrorCode::NOT_LEADER_OR_FOLLOWER {
            tracing::info!(node = self.broker.node.config.node.0, group = %self.id.group, partition = ?self.key,
                code = code.0, "a share-partition is led by another one now");
        }
        goes_on
    }

    fn note_change(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }
}

/// How the write under way came out; never without one.
async fn written(write: &mut Option<Writing>) -> ShareReply {
    match write {
        Some(writing) => writing.await,
        None => pending().await,
    }
}
