//! Producer ids for idempotent producers, handed out at this node from blocks that the controller reserves for it.
//!
//! What is left of a block is lost at a restart; ids are never handed out twice.

use std::cell::RefCell;
use std::ops::Range;

use chronik_coord::{Action, ReplyBody};
use tokio::sync::Mutex;

use crate::broker::Broker;
use crate::controller::ControllerError;

/// This shard's current block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    block: RefCell<Range<i64>>,
    /// The queue of those who wait for the next block: one of them fetches it for all.
    refill: Mutex<()>,
}

impl ProducerIds {
    fn take(&self) -> Option<i64> {
        self.block.borrow_mut().next()
    }
}

impl Broker {
    /// A producer id that nobody has.
    pub(crate) async fn next_producer_id(&self, deadline_ms: u64) -> Result<i64, ControllerError> {
        loop {
            if let Some(id) = self.producer_ids.take() {
                return Ok(id);
            }
            let _turn = self.producer_ids.refill.lock().await;
            if !self.producer_ids.block.borrow().is_empty() {
                continue;
            }
            let reserve = Action::AllocateProducerIds { broker: self.node.config.node };
            match self.controller_call(reserve, deadline_ms).await?.body {
                ReplyBody::ProducerIds { first, count } => {
                    self.producer_ids.block.replace(first..first + i64::from(count));
                }
                other => return Err(ControllerError::from_reply(&other)),
            }
        }
    }
}
