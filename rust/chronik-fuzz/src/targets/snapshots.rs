//! Snapshots as they are loaded: the blob of the log, the state of a replica within it, and a replica that starts on it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_coord::Controller;
use chronik_log::{Entry, EntryKind, HardState, LogConfig, MemDisk, PartitionLog, Snapshot};
use chronik_replica::{
    Host, HostConfig, Index, Machine, MachineError, ReplicaCounters, ReplicaError, ReplicaSpec, Term,
    TopicSettings,
};
use chronik_wire::types::{NodeId, Offset, PartitionIndex, PartitionKey, TopicId};

use crate::Verdict;
use crate::input::Input;
use crate::memory::within;

const DIR: &str = "topic-0";
const KEY: PartitionKey = PartitionKey::new(TopicId(7), PartitionIndex(0));
const CHECKSUM_AT: usize = 8;
/// What a host, its raft groups and a disk in memory take by themselves.
const HOST_BYTES: usize = 1 << 20;

/// The first byte chooses the door: the log's blob, or a replica that starts on a snapshot with this state.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    match input.byte() % 2 {
        0 => blob(input.rest()),
        _ => start(input),
    }
}

/// A blob with a checksum that fits decodes to what encodes to it again, or is refused.
fn blob(bytes: &[u8]) -> Verdict {
    let mut bytes = BytesMut::from(bytes);
    if bytes.len() >= CHECKSUM_AT + 4 {
        let checksum = crc_fast::crc32_iscsi(&bytes[CHECKSUM_AT + 4..]);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
    }
    let bytes = bytes.freeze();
    match within("a snapshot", 4096, || Snapshot::decode(&bytes)) {
        Ok(snapshot) => {
            assert_eq!(snapshot.encode(), bytes);
            Verdict::Accepted
        }
        Err(_) => Verdict::Refused,
    }
}

/// A replica starts on a log with a snapshot whose state and voters are the input's, with a controller seated.
fn start(mut input: Input<'_>) -> Verdict {
    let voters = usize::from(input.byte());
    let conf_state = Bytes::copy_from_slice(input.take(voters));
    let machine = Bytes::copy_from_slice(input.rest());
    let allowed = HOST_BYTES + 64 * machine.len();
    let disk = MemDisk::new();
    write(&disk, conf_state, machine.clone());
    let restored = Rc::new(RefCell::new(None));
    let started = within("a start on a snapshot", allowed, || {
        let mut host = Host::new(
            HostConfig::for_test(NodeId(1)),
            Arc::new(disk.clone()),
            Arc::new(ReplicaCounters::default()),
            Arc::new(|| {}),
        );
        host.create_replica(spec(&restored)).map(|()| host)
    });
    match started {
        Ok(mut host) => {
            host.on_tick(10);
            host.turn(10);
            let replica = host.replica(KEY).expect("it has just been created");
            assert_eq!(replica.stop_reason(), None);
            assert!(replica.high_watermark() >= Offset(0));
            if let Some(state) = restored.borrow_mut().take() {
                let controller = Controller::restore(&state).expect("it was restored a moment ago");
                assert_eq!(controller.snapshot(), state, "a state has one encoding");
            }
            Verdict::Accepted
        }
        Err(error) => {
            // A panic inside would have become a specification that cannot work.
            let refused = matches!(error, ReplicaError::Snapshot { .. } | ReplicaError::Machine { .. });
            assert!(refused, "a snapshot that is none is refused as that, not: {error}");
            Verdict::Refused
        }
    }
}

/// A log of two entries with a snapshot at the first.
fn write(disk: &MemDisk, conf_state: Bytes, machine: Bytes) {
    let config = Arc::new(LogConfig::default());
    let mut log = PartitionLog::open(Arc::new(disk.clone()), DIR, config).expect("an empty disk opens");
    let noop = |index| Entry::new(Index(index), Term(1), EntryKind::Noop, Bytes::new());
    log.append(&[noop(1), noop(2)]).expect("there is room");
    let hard = HardState { term: Term(1), vote: 0, commit: Index(2) };
    log.set_hard_state(hard, true).expect("there is room");
    let snapshot = Snapshot {
        index: Index(1),
        term: Term(1),
        next_offset: Offset(0),
        log_start: Offset(0),
        conf_state,
        machine,
        prefix: Bytes::new(),
    };
    log.save_snapshot(&snapshot).expect("there is room");
    log.sync_now().expect("the disk works");
}

fn spec(restored: &Rc<RefCell<Option<Bytes>>>) -> ReplicaSpec {
    ReplicaSpec {
        key: KEY,
        voters: vec![NodeId(1)],
        generation: 0,
        successor: None,
        standing: None,
        designated: NodeId(1),
        dir: DIR.to_owned(),
        log: Arc::new(LogConfig::default()),
        settings: TopicSettings::default(),
        machine: Some(Box::new(Seated { restored: Rc::clone(restored) })),
    }
}

/// A controller, of which only the restoring matters, and which bytes it took.
struct Seated {
    restored: Rc<RefCell<Option<Bytes>>>,
}

impl Machine for Seated {
    fn apply(&mut self, _batch: &Bytes, _base_offset: Offset, _index: Index) {}

    fn snapshot(&self) -> Bytes {
        Controller::new().snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        Controller::restore(snapshot).map_err(|error| MachineError(error.to_string()))?;
        *self.restored.borrow_mut() = Some(Bytes::copy_from_slice(snapshot));
        Ok(())
    }
}

/// A blob, and states with and without producers and a controller.
pub fn seeds() -> Vec<Vec<u8>> {
    let snapshot = Snapshot {
        index: Index(40),
        term: Term(3),
        next_offset: Offset(120),
        log_start: Offset(7),
        conf_state: Bytes::from_static(b"voters"),
        machine: Bytes::from_static(b"state"),
        prefix: Bytes::new(),
    };
    let controller = Controller::new().snapshot();
    // Version, clock, "forgot some", number of producers, and per producer: id, epoch, index, stamp, time, batches.
    let empty = [1, 0, 0, 0, 0];
    let producers = [1, 8, 1, 2, 2, 0, 5, 1, 9, 1, 0, 4, 6, 4, 2, 6, 0, 0, 0, 0];
    let seated = [&[1, 0, 0, 0, 1, controller.len() as u8][..], &controller].concat();
    vec![
        [&[0][..], &snapshot.encode()].concat(),
        [&[1, 0][..], &empty].concat(),
        [&[1, 0][..], &producers].concat(),
        [&[1, 0][..], &seated].concat(),
        [&[1, 2, 1, 1][..], &empty].concat(),
    ]
}
