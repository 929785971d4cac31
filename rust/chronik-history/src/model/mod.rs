//! Histories of a broker that keeps every promise: a log that is always right, and clients that meet honest errors.
//!
//! Every operation takes effect at one instant between its invocation and its return; operations of different clients
//! overlap. The histories feed the checker's own tests, which must find nothing in them, and its measurements.

mod clients;
mod partition;

use crate::event::{Event, History, Role, Status};
use crate::operation::{
    Call, CreateArgs, CreateResult, DumpResult, FINAL_PHASE, FaultArgs, Isolation, Nothing, Operation,
    PhaseArgs, StateResult,
};
use crate::text::Text;
use clients::Client;
use partition::Partition;

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Events before the final phase, about.
    pub events: usize,
    /// Partitions; at least one.
    pub partitions: usize,
    /// Transactions among the rest.
    pub transactions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, events: 2_000, partitions: 2, transactions: true }
    }
}

/// Nodes of the model.
const NODES: u64 = 3;

/// Largest distance of an operation's invocation or return from the instant of its effect.
const REACH_NS: u64 = 200_000;

/// Generates a history that breaks no promise.
pub fn generate(options: &Options) -> History {
    let mut world = World::new(options);
    let mut clients = Client::all(options);
    while world.history.events.len() < options.events {
        world.now_ns += world.random.below(50_000) + 1;
        let place = world.random.below(clients.len() as u64) as usize;
        if let Some(client) = clients.get_mut(place) {
            client.act(&mut world);
        }
    }
    clients.iter_mut().for_each(|client| client.finish(&mut world));
    world.final_phase();
    world.history
}

/// A small generator of numbers (SplitMix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Everything that exists.
#[derive(Debug)]
struct World {
    now_ns: u64,
    random: Random,
    partitions: Vec<Partition>,
    values: u64,
    /// The last producer id given out; those below belong to producers without transactions.
    producer_ids: i64,
    /// Names of the transactions so far.
    transactions: Vec<Text>,
    history: History,
}

impl World {
    fn new(options: &Options) -> Self {
        let mut world = Self {
            now_ns: 1_000_000,
            random: Random(options.seed),
            partitions: Vec::new(),
            values: 0,
            producer_ids: 9,
            transactions: Vec::new(),
            history: History::default(),
        };
        let mut create = Event::invoked(
            0,
            "admin",
            "",
            Operation::Create(Call {
                args: CreateArgs { name: "orders".into(), ..CreateArgs::default() },
                result: Some(CreateResult { topic_id: "orders".into() }),
            }),
        );
        (create.returned_ns, create.status) = (Some(500_000), Status::Ok);
        world.history.push(create);
        for partition in 0..options.partitions.max(1) {
            world.partitions.push(Partition::new(format!("orders/{partition}").into()));
        }
        world
    }

    /// A partition, by chance.
    fn any_partition(&mut self) -> usize {
        self.random.below(self.partitions.len() as u64) as usize
    }

    fn partition(&mut self, place: usize) -> &mut Partition {
        // Places come from `any_partition`.
        &mut self.partitions[place]
    }

    /// Values that nobody has sent yet.
    fn new_values(&mut self) -> Vec<Text> {
        let count = self.random.below(3) + 1;
        (0..count)
            .map(|_| {
                self.values += 1;
                Text::from(format!("v{}", self.values))
            })
            .collect()
    }

    /// Writes an event whose effect is now, at any node.
    fn record(&mut self, client: &mut Client, key: &Text, operation: Operation, status: Status, error: i16) {
        let invoked_ns = self.now_ns.saturating_sub(self.random.below(REACH_NS)).max(client.free_ns + 1);
        let returned_ns = (self.now_ns + self.random.below(REACH_NS)).max(invoked_ns);
        let is_answered = status != Status::Info || self.random.chance(50);
        let mut event = Event::invoked(invoked_ns, client.name.clone(), key.clone(), operation);
        event.node = Some(self.random.below(NODES) as i32 + 1);
        event.role = Some(if self.random.chance(33) { Role::Leader } else { Role::Follower });
        event.returned_ns = is_answered.then_some(returned_ns);
        event.error = error;
        event.status = status;
        client.free_ns = returned_ns;
        self.history.push(event);
    }

    /// Marks a fault.
    fn fault(&mut self, client: &mut Client) {
        let args = FaultArgs { text: "isolate the leader".into(), ..FaultArgs::default() };
        self.record(client, &Text::default(), Operation::Fault(Call::new(args)), Status::Ok, 0);
    }

    /// Heals, reads every partition to its end, dumps every replica.
    fn final_phase(&mut self) {
        self.now_ns += 10 * REACH_NS;
        let mut client = Client::last_reader(self.now_ns - 2 * REACH_NS);
        let phase = Operation::Phase(Call::new(PhaseArgs { name: FINAL_PHASE.into() }));
        self.record(&mut client, &Text::default(), phase, Status::Ok, 0);
        for place in 0..self.partitions.len() {
            for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
                client.read_whole(self, place, isolation);
            }
            for _ in 0..NODES {
                self.now_ns += 2 * REACH_NS;
                self.dump(&mut client, place);
            }
        }
    }

    fn dump(&mut self, client: &mut Client, place: usize) {
        let partition = self.partition(place);
        let (key, log_start) = (partition.key.clone(), partition.log_start());
        let Some(whole) = partition.read(log_start, Isolation::ReadUncommitted, usize::MAX) else { return };
        let result = DumpResult { log_start: whole.log_start, hw: whole.hw, records: whole.records };
        let dump = Operation::Dump(Call { args: Nothing {}, result: Some(result) });
        self.record(client, &key, dump, Status::Ok, 0);
        let state = StateResult { applied: whole.hw as u64, hash: whole.hw as u64 ^ 0x5EED };
        let state = Operation::State(Call { args: Nothing {}, result: Some(state) });
        self.record(client, &key, state, Status::Ok, 0);
    }
}
