//! Data of topics that were deleted, and of replicas that moved away, while this node was down: removed once it is certain that nobody misses it.
//!
//! Certain means: this start of the node is registered and the metadata is applied up to there, so the image holds
//! every topic that existed then, and where its replicas are. A directory it has no replica for belongs to nobody. What has no partition's name, and
//! what a topic of the image could own, is never touched.

use std::rc::Rc;

use chronik_wire::types::{Offset, PartitionKey};

use crate::broker::Broker;
use crate::hosts::Hosts;
use crate::reconcile::partition_of;

impl Broker {
    /// Waits until the metadata is known to be complete, then removes what this shard is responsible for, once.
    pub(crate) async fn remove_strays(self: Rc<Self>) {
        let Some(registered_at) = self.node.registered_at().await else { return };
        let mut images = self.node.seat.subscribe();
        if images.wait_for(|image| image.offset >= registered_at).await.is_ok() {
            self.sweep();
        }
    }

    fn sweep(&self) {
        let node = self.node.config.node;
        let image = self.node.image();
        let mut host = self.hosts.own().borrow_mut();
        let directories = match host.directories() {
            Ok(directories) => directories,
            Err(error) => {
                tracing::warn!(node = node.0, %error, "data of deleted topics cannot be looked for");
                return;
            }
        };
        let is_stray = |(key, generation): &(PartitionKey, u32)| {
            // A partition that has moved away leaves its data behind on a node that was down, and one that came back
            // since is another member.
            let here = image.assignment(*key).and_then(|assignment| assignment.member(node));
            *key != PartitionKey::META
                && Hosts::shard_of(*key, self.node.config.shards) == self.shard
                && here.is_none_or(|member| member.generation != *generation)
        };
        for directory in directories {
            if partition_of(&directory).filter(is_stray).is_none() {
                continue;
            }
            if !self.node.had_metadata() {
                // Its metadata was lost or never there: then a missing topic is no proof that it was deleted.
                tracing::warn!(
                    node = node.0,
                    directory,
                    "data of an unknown topic is left alone: this node started without metadata"
                );
                continue;
            }
            match host.remove_directory(&directory) {
                Ok(()) => tracing::info!(
                    node = node.0,
                    directory,
                    "removed data of a topic that was deleted meanwhile"
                ),
                Err(error) => {
                    tracing::warn!(node = node.0, directory, %error, "data of a deleted topic is left behind")
                }
            }
        }
    }
}

/// What is known of this start of the node; see [`Broker::remove_strays`].
#[derive(Debug, Default)]
pub(crate) struct StartFacts {
    /// Where the registration of this start stands in the metadata log.
    pub(crate) registered_at: tokio::sync::watch::Sender<Option<Offset>>,
    /// Whether the node found metadata of its own on its disk.
    pub(crate) had_metadata: std::sync::atomic::AtomicBool,
}
