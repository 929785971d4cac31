//! The seat of the controller on the metadata partition: applies committed commands, publishes the image.
//!
//! One per node; the replica drives it, every shard of the node reads the image it publishes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chronik_coord::{Command, CommandId, CommandReply, Controller, MetaImage};
use chronik_log::Index;
use chronik_replica::{Machine, MachineError};
use chronik_wire::batch::BatchView;
use chronik_wire::types::Offset;
use tokio::sync::watch;

/// The controller's state at this node and the image made from it.
#[derive(Debug)]
pub struct MetaSeat {
    controller: Mutex<Controller>,
    image: watch::Sender<Arc<MetaImage>>,
}

impl Default for MetaSeat {
    fn default() -> Self {
        let controller = Controller::new();
        let (image, _) = watch::channel(controller.image());
        MetaSeat { controller: Mutex::new(controller), image }
    }
}

impl MetaSeat {
    /// The newest applied image.
    pub fn image(&self) -> Arc<MetaImage> {
        Arc::clone(&self.image.borrow())
    }

    /// To be told of every new image.
    pub fn subscribe(&self) -> watch::Receiver<Arc<MetaImage>> {
        self.image.subscribe()
    }

    /// The reply of a command that has been applied here, while it is remembered.
    pub fn reply(&self, id: CommandId) -> Option<CommandReply> {
        self.controller().reply(id).cloned()
    }

    /// What a command would answer if it were applied now; changes nothing.
    pub fn check(&self, command: &Command) -> CommandReply {
        self.controller().check(&command.action)
    }

    fn controller(&self) -> MutexGuard<'_, Controller> {
        // The controller leaves its state unchanged when it refuses, so a panic elsewhere cannot have torn it.
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the replica of the metadata partition drives.
#[derive(Debug)]
pub(crate) struct MetaMachine(pub(crate) Arc<MetaSeat>);

impl Machine for MetaMachine {
    fn apply(&mut self, batch: &Bytes, base_offset: Offset, _index: Index) {
        let Ok(view) = BatchView::parse(batch.clone()) else {
            tracing::error!(
                offset = base_offset.0,
                "metadata batch does not parse; it is skipped on every node alike"
            );
            return;
        };
        let mut controller = self.0.controller();
        let Ok(records) = view.records() else { return };
        for record in records.flatten() {
            let command = record.value.unwrap_or_default();
            if let Err(error) = controller.apply_bytes(&command, record.offset) {
                tracing::error!(offset = record.offset.0, %error, "metadata command does not decode; skipped on every node alike");
            }
        }
        let image = controller.image();
        drop(controller);
        self.0.image.send_replace(image);
    }

    fn snapshot(&self) -> Bytes {
        self.0.controller().snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        let restored = Controller::restore(snapshot).map_err(|error| MachineError(error.to_string()))?;
        let image = restored.image();
        *self.0.controller() = restored;
        self.0.image.send_replace(image);
        Ok(())
    }
}
