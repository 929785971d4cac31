//! The clients of the model: producers, readers, members of a group, one at a time each.

use super::{Options, World};
use crate::event::Status;
use crate::operation::{
    ACKS_ALL, AssignArgs, BeginArgs, Call, CommitArgs, EARLIEST, EndArgs, FetchArgs, FetchResult, InitArgs,
    InitResult, Isolation, LATEST, ListArgs, ListResult, MetaArgs, MetaResult, OffsetFetchArgs,
    OffsetFetchResult, Operation, Producer, SendArgs, SendResult,
};
use crate::text::Text;

/// Most records in one answer.
const RECORDS_MAX: usize = 8;

/// What a client does.
#[derive(Debug)]
enum Kind {
    /// Sends with `acks=all`, without idempotence and without retries.
    Plain,
    /// Sends with sequences.
    Idempotent { id: i64, sequences: Vec<i32> },
    /// Sends in transactions; the open one, if any. Takes a producer id first, and another one now and then.
    Transactional { id: Option<i64>, sequences: Vec<i32>, open: Option<usize> },
    /// Reads one partition on and on.
    Follows { place: usize, isolation: Isolation, position: Option<i64> },
    /// Asks for anything anywhere.
    Asks,
    /// Commits offsets of a group and asks for them; the last commit that took effect, by partition.
    Commits { committed: Vec<i64> },
    /// Moves log starts, marks faults.
    Operates,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: Text,
    /// When its last operation was over.
    pub(super) free_ns: u64,
    kind: Kind,
}

impl Client {
    fn new(name: impl Into<Text>, kind: Kind) -> Self {
        Self { name: name.into(), free_ns: 600_000, kind }
    }

    pub(super) fn all(options: &Options) -> Vec<Self> {
        let partitions = options.partitions.max(1);
        let mut clients = vec![
            Self::new("plain", Kind::Plain),
            Self::new("asks-1", Kind::Asks),
            Self::new("asks-2", Kind::Asks),
            Self::new("asks-3", Kind::Asks),
            Self::new("member", Kind::Commits { committed: vec![-1; partitions] }),
            Self::new("operator", Kind::Operates),
        ];
        for id in 0..2 {
            let kind = Kind::Idempotent { id, sequences: vec![0; partitions] };
            clients.push(Self::new(format!("idempotent-{id}"), kind));
        }
        for number in 0..if options.transactions { 2 } else { 0 } {
            let kind = Kind::Transactional { id: None, sequences: vec![0; partitions], open: None };
            clients.push(Self::new(format!("transactional-{number}"), kind));
        }
        for place in 0..partitions {
            for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
                let kind = Kind::Follows { place, isolation, position: None };
                clients.push(Self::new(format!("reader-{place}-{isolation:?}"), kind));
            }
        }
        clients
    }

    pub(super) fn last_reader(free_ns: u64) -> Self {
        Self { name: "last-reader".into(), free_ns, kind: Kind::Operates }
    }

    /// Does one thing, if the last one is over.
    pub(super) fn act(&mut self, world: &mut World) {
        if self.free_ns >= world.now_ns {
            return;
        }
        let mut kind = std::mem::replace(&mut self.kind, Kind::Operates);
        match &mut kind {
            Kind::Plain => {
                self.send(world, None, None);
            }
            Kind::Idempotent { id, sequences } => {
                self.send(world, Some((*id, sequences)), None);
            }
            Kind::Transactional { id, sequences, open } => self.transact(world, id, sequences, open),
            Kind::Follows { place, isolation, position } => self.follow(world, *place, *isolation, position),
            Kind::Asks => self.ask(world),
            Kind::Commits { committed } => self.commit(world, committed),
            Kind::Operates => self.operate(world),
        }
        self.kind = kind;
    }

    /// Ends what is open, so that the final phase finds everything decided.
    pub(super) fn finish(&mut self, world: &mut World) {
        if let Kind::Transactional { open, .. } = &mut self.kind
            && let Some(transaction) = open.take()
        {
            world.now_ns = world.now_ns.max(self.free_ns) + 1_000;
            self.end(world, transaction, true, Status::Ok);
        }
    }

    fn send(
        &mut self,
        world: &mut World,
        producer: Option<(i64, &mut Vec<i32>)>,
        transaction: Option<usize>,
    ) {
        let place = world.any_partition();
        let values = world.new_values();
        let (id, mut sequence) = match producer {
            Some((id, sequences)) => (Some(id), sequences.get_mut(place)),
            None => (None, None),
        };
        let numbers = id.map(|id| Producer { id, epoch: 0, sequence: sequence.as_deref().copied() });
        let (status, error) = match world.random.below(20) {
            0 => (Status::Fail, 6),
            1 => (Status::Fail, 19),
            2 | 3 => (Status::Info, if world.random.chance(50) { 7 } else { 0 }),
            _ => (Status::Ok, 0),
        };
        let is_stored = status == Status::Ok || status == Status::Info && world.random.chance(50);
        let mut offset = None;
        if is_stored {
            offset = Some(world.partition(place).append(&values, transaction));
            if let Some(sequence) = &mut sequence {
                **sequence += values.len() as i32;
            }
        }
        let name = transaction.and_then(|transaction| world.transactions.get(transaction).cloned());
        let args =
            SendArgs { values, acks: ACKS_ALL, producer: numbers, transaction: name, ..SendArgs::default() };
        let result = (status == Status::Ok).then_some(SendResult { offset });
        let key = world.partition(place).key.clone();
        world.record(self, &key, Operation::Send(Call { args, result }), status, error);
    }

    fn transact(
        &mut self,
        world: &mut World,
        id: &mut Option<i64>,
        sequences: &mut Vec<i32>,
        open: &mut Option<usize>,
    ) {
        let Some(present) = id.filter(|_| open.is_some() || world.random.chance(90)) else {
            *id = Some(self.init(world));
            sequences.fill(0);
            return;
        };
        match *open {
            None => {
                let transaction = world.transactions.len();
                let name = Text::from(format!("t{transaction}"));
                world.transactions.push(name.clone());
                let args = BeginArgs { transaction: name, transactional_id: self.name.clone() };
                world.record(self, &Text::default(), Operation::Begin(Call::new(args)), Status::Ok, 0);
                *open = Some(transaction);
            }
            Some(transaction) if world.random.chance(40) => {
                let commit = world.random.chance(60);
                let status = if world.random.chance(10) { Status::Info } else { Status::Ok };
                self.end(world, transaction, commit, status);
                *open = None;
            }
            Some(transaction) => self.send(world, Some((present, sequences)), Some(transaction)),
        }
    }

    /// Begins as a new producer, under an id of its own.
    fn init(&mut self, world: &mut World) -> i64 {
        world.producer_ids += 1;
        let id = world.producer_ids;
        let args = InitArgs { transactional_id: Some(self.name.clone()), bound_ms: None };
        let init = Operation::Init(Call { args, result: Some(InitResult { id, epoch: 0 }) });
        world.record(self, &Text::default(), init, Status::Ok, 0);
        id
    }

    fn end(&mut self, world: &mut World, transaction: usize, commit: bool, status: Status) {
        world.partitions.iter_mut().for_each(|partition| partition.end(transaction, commit));
        let Some(name) = world.transactions.get(transaction).cloned() else { return };
        let args = EndArgs { transaction: name, commit, bound_ms: None };
        world.record(self, &Text::default(), Operation::End(Call::new(args)), status, 0);
    }

    fn follow(&mut self, world: &mut World, place: usize, isolation: Isolation, position: &mut Option<i64>) {
        let key = world.partition(place).key.clone();
        let Some(from) = *position else {
            let start = world.partition(place).log_start();
            let assign = Operation::Assign(Call::new(AssignArgs { position: Some(start) }));
            world.record(self, &key, assign, Status::Ok, 0);
            *position = Some(start);
            return;
        };
        match self.fetch(world, place, from, isolation) {
            Fetched::Next(next) => *position = Some(next),
            Fetched::Refused => {}
            Fetched::OutOfRange => *position = None,
        }
    }

    fn fetch(&mut self, world: &mut World, place: usize, offset: i64, isolation: Isolation) -> Fetched {
        let key = world.partition(place).key.clone();
        let args = FetchArgs { offset, isolation, bound_ms: Some(500), ..FetchArgs::default() };
        let minus_one =
            FetchResult { hw: Some(-1), lso: Some(-1), log_start: Some(-1), ..FetchResult::default() };
        let (status, error, result, fetched) = match world.random.below(20) {
            0 => (Status::Fail, 78, Some(minus_one), Fetched::Refused),
            1 => (Status::Fail, 6, Some(minus_one), Fetched::Refused),
            2 => (Status::Info, 0, None, Fetched::Refused),
            3 => (Status::Ok, 0, Some(FetchResult { preferred: Some(2), ..minus_one }), Fetched::Refused),
            _ => match world.partition(place).read(offset, isolation, RECORDS_MAX) {
                None => (Status::Fail, 1, Some(minus_one), Fetched::OutOfRange),
                Some(shown) => {
                    let result = FetchResult {
                        hw: Some(shown.hw),
                        lso: Some(shown.lso),
                        log_start: Some(shown.log_start),
                        records: shown.records,
                        next: Some(shown.next),
                        ..FetchResult::default()
                    };
                    (Status::Ok, 0, Some(result), Fetched::Next(shown.next))
                }
            },
        };
        world.record(self, &key, Operation::Fetch(Call { args, result }), status, error);
        fetched
    }

    fn ask(&mut self, world: &mut World) {
        let place = world.any_partition();
        let isolation =
            if world.random.chance(50) { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
        if world.random.chance(60) {
            let hw = world.partition(place).hw();
            let back = world.random.below(20) as i64;
            self.fetch(world, place, (hw + 1 - back).max(0), isolation);
            return;
        }
        if world.random.chance(5) {
            let result = Some(MetaResult { topics: vec!["orders".into()] });
            let meta = Operation::Meta(Call { args: MetaArgs::default(), result });
            world.record(self, &Text::default(), meta, Status::Ok, 0);
            return;
        }
        let timestamp = if world.random.chance(80) { LATEST } else { EARLIEST };
        let partition = world.partition(place);
        let offset = match (timestamp, isolation) {
            (EARLIEST, _) => partition.log_start(),
            (_, Isolation::ReadUncommitted) => partition.hw(),
            (_, Isolation::ReadCommitted) => partition.lso(),
        };
        let key = partition.key.clone();
        let args = ListArgs { timestamp, isolation, ..ListArgs::default() };
        let list = Operation::List(Call { args, result: Some(ListResult { offset }) });
        world.record(self, &key, list, Status::Ok, 0);
    }

    fn commit(&mut self, world: &mut World, committed: &mut [i64]) {
        let place = world.any_partition();
        let Some(last) = committed.get_mut(place) else { return };
        let key = world.partition(place).key.clone();
        if world.random.chance(50) {
            let args = OffsetFetchArgs { group: "group".into(), bound_ms: None };
            let fetch =
                Operation::OffsetFetch(Call { args, result: Some(OffsetFetchResult { offset: *last }) });
            world.record(self, &key, fetch, Status::Ok, 0);
            return;
        }
        // Back as well as forth: a consumer may seek.
        let offset = world.random.below(world.values + 1) as i64;
        let status = if world.random.chance(20) { Status::Info } else { Status::Ok };
        if status == Status::Ok || world.random.chance(50) {
            *last = offset;
        }
        let args = CommitArgs { group: "group".into(), generation: 1, offset, bound_ms: None };
        world.record(self, &key, Operation::Commit(Call::new(args)), status, 0);
    }

    fn operate(&mut self, world: &mut World) {
        if world.random.chance(50) {
            world.fault(self);
            return;
        }
        let place = world.any_partition();
        let partition = world.partition(place);
        let kept = 100;
        partition.retain_from(partition.hw() - kept);
    }

    /// Reads a partition from its start to its end.
    pub(super) fn read_whole(&mut self, world: &mut World, place: usize, isolation: Isolation) {
        let mut position = world.partition(place).log_start();
        let end = match isolation {
            Isolation::ReadUncommitted => world.partition(place).hw(),
            Isolation::ReadCommitted => world.partition(place).lso(),
        };
        while position < end {
            world.now_ns = world.now_ns.max(self.free_ns) + 1_000;
            match self.fetch(world, place, position, isolation) {
                Fetched::Next(next) => position = next,
                Fetched::Refused => {}
                Fetched::OutOfRange => return,
            }
        }
    }
}

/// How a fetch ended.
enum Fetched {
    Next(i64),
    Refused,
    OutOfRange,
}
