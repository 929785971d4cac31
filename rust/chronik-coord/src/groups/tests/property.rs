//! Random clients against small models: no partition has two owners in one generation or at one time, nobody commits from
//! a generation that was replaced, offsets are those that were committed last, and, as the seat checks after every input,
//! the log says what the leader believes and every request is answered once.

use super::*;
use proptest::prelude::*;

const CLIENTS: usize = 4;
const PARTITIONS: i32 = 4;

/// What happens next. Numbers choose a client, a partition or a producer.
#[derive(Debug, Clone)]
enum Event {
    Join(usize),
    Sync(usize),
    /// All clients but one join and sync; that one is asleep, if there is one of that number.
    Settle(usize),
    Heartbeat(usize),
    Leave(usize),
    /// The client starts anew; a static one keeps its name.
    Restart(usize),
    Cancel(usize),
    Commit(usize, i32),
    CommitInTransaction(i64, i32),
    Marker(i64, bool),
    Fetch(i32),
    Wait(i64),
    FailOver,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let client = || 0..CLIENTS;
    let partition = || 0..PARTITIONS;
    let event = prop_oneof![
        6 => client().prop_map(Event::Join),
        6 => client().prop_map(Event::Sync),
        4 => (0..=CLIENTS).prop_map(Event::Settle),
        4 => client().prop_map(Event::Heartbeat),
        1 => client().prop_map(Event::Leave),
        1 => client().prop_map(Event::Restart),
        1 => client().prop_map(Event::Cancel),
        3 => (client(), partition()).prop_map(|(client, partition)| Event::Commit(client, partition)),
        2 => (0_i64..3, partition()).prop_map(|(producer, partition)| Event::CommitInTransaction(producer, partition)),
        1 => (0_i64..3, any::<bool>()).prop_map(|(producer, committed)| Event::Marker(producer, committed)),
        2 => partition().prop_map(Event::Fetch),
        2 => prop_oneof![Just(100_i64), Just(3_000), Just(11_000)].prop_map(Event::Wait),
        1 => Just(Event::FailOver),
    ];
    proptest::collection::vec(event, 1..120)
}

/// Where a classic client stands.
#[derive(Debug, Clone)]
enum Phase {
    Out,
    Joining(Ticket),
    Joined(JoinGroupResponse),
    Syncing(Ticket, i32),
    Settled(i32),
}

#[derive(Debug, Clone)]
struct Client {
    member_id: String,
    instance_id: Option<String>,
    phase: Phase,
}

/// What must be so.
#[derive(Debug, Default)]
struct Model {
    /// Who was given a partition in a generation.
    owners: BTreeMap<(i32, i32), usize>,
    /// The newest generation in which anybody was given anything.
    settled: i32,
    offsets: BTreeMap<i32, i64>,
    /// Offsets of open transactions, each with the number of its commit.
    open: BTreeMap<i64, BTreeMap<i32, (i64, u64)>>,
    /// The number of the commit that decided each partition's offset.
    decided: BTreeMap<i32, u64>,
    commits: u64,
}

struct World {
    seat: Seat,
    clients: Vec<Client>,
    model: Model,
    next_offset: i64,
}

impl World {
    fn new(delay_ms: &str) -> World {
        let seat = Seat::with(config(&[("group.initial.rebalance.delay.ms", delay_ms)]));
        let client = |index: usize| Client {
            member_id: String::new(),
            // The last one is static.
            instance_id: (index == CLIENTS - 1).then(|| "s".to_owned()),
            phase: Phase::Out,
        };
        World { seat, clients: (0..CLIENTS).map(client).collect(), model: Model::default(), next_offset: 100 }
    }

    fn run(&mut self, event: &Event) {
        match *event {
            Event::Join(client) => self.join(client),
            Event::Sync(client) => self.sync(client),
            Event::Settle(asleep) => self.settle_all_but(asleep),
            Event::Heartbeat(client) => self.heartbeat(client),
            Event::Leave(client) => {
                let Client { member_id, instance_id, .. } = self.clients[client].clone();
                if !member_id.is_empty() {
                    self.seat.leave(&member_id, instance_id.as_deref());
                    self.clients[client].phase = Phase::Out;
                    self.clients[client].member_id.clear();
                }
            }
            Event::Restart(client) => {
                self.hang_up(client);
                self.clients[client].member_id.clear();
            }
            Event::Cancel(client) => self.hang_up(client),
            Event::Commit(client, partition) => self.commit(client, partition),
            Event::CommitInTransaction(producer, partition) => {
                self.commit_in_transaction(producer, partition)
            }
            Event::Marker(producer, committed) => self.marker(producer, committed),
            Event::Fetch(partition) => self.fetch(partition),
            Event::Wait(ms) => self.seat.advance(ms),
            Event::FailOver => {
                self.seat.fail_over();
                for client in &mut self.clients {
                    if matches!(client.phase, Phase::Joining(_) | Phase::Syncing(..)) {
                        client.phase = Phase::Out;
                    }
                }
            }
        }
        (0..CLIENTS).for_each(|client| self.poll(client));
    }

    fn settle_all_but(&mut self, asleep: usize) {
        let awake = || (0..CLIENTS).filter(|client| *client != asleep);
        for step in [World::join, World::sync] {
            awake().for_each(|client| step(self, client));
            (0..CLIENTS).for_each(|client| self.poll(client));
            // Whoever does not join is waited for, but not for ever.
            if awake().any(|client| matches!(self.clients[client].phase, Phase::Joining(_))) {
                self.seat.advance(5_000);
                (0..CLIENTS).for_each(|client| self.poll(client));
            }
        }
    }

    fn hang_up(&mut self, client: usize) {
        if let Phase::Joining(ticket) | Phase::Syncing(ticket, _) = self.clients[client].phase {
            self.seat.cancel(ticket);
        }
        self.clients[client].phase = Phase::Out;
    }

    fn join(&mut self, client: usize) {
        if matches!(self.clients[client].phase, Phase::Joining(_) | Phase::Syncing(..)) {
            return;
        }
        let Client { member_id, instance_id, .. } = self.clients[client].clone();
        let request = JoinGroupRequest {
            member_id,
            group_instance_id: instance_id,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 5_000,
            ..join()
        };
        self.clients[client].phase = Phase::Joining(self.seat.send_join(request));
    }

    /// Looks whether an answer has come.
    fn poll(&mut self, client: usize) {
        match self.clients[client].phase {
            Phase::Joining(ticket) => match self.seat.take(ticket) {
                Some(GroupReply::Join(joined)) => self.on_joined(client, joined),
                None => {}
                other => panic!("{other:?}"),
            },
            Phase::Syncing(ticket, generation) => match self.seat.take(ticket) {
                Some(GroupReply::Sync(synced)) => self.on_synced(client, generation, &synced),
                None => {}
                other => panic!("{other:?}"),
            },
            Phase::Out | Phase::Joined(_) | Phase::Settled(_) => {}
        }
    }

    fn on_joined(&mut self, client: usize, joined: JoinGroupResponse) {
        match joined.error_code {
            ErrorCode::NONE => {
                self.clients[client].member_id = joined.member_id.clone();
                self.clients[client].phase = Phase::Joined(joined);
            }
            ErrorCode::MEMBER_ID_REQUIRED => {
                self.clients[client].member_id = joined.member_id;
                self.clients[client].phase = Phase::Out;
                self.join(client);
                self.poll(client);
            }
            error => self.on_error(client, error),
        }
    }

    fn on_synced(&mut self, client: usize, generation: i32, synced: &SyncGroupResponse) {
        if synced.error_code != ErrorCode::NONE {
            self.on_error(client, synced.error_code);
            return;
        }
        for byte in &synced.assignment {
            let partition = i32::from(*byte);
            let owner = *self.model.owners.entry((generation, partition)).or_insert(client);
            assert_eq!(owner, client, "two owners of partition {partition} in generation {generation}");
        }
        self.model.settled = self.model.settled.max(generation);
        self.clients[client].phase = Phase::Settled(generation);
    }

    fn on_error(&mut self, client: usize, error: ErrorCode) {
        self.clients[client].phase = Phase::Out;
        match error {
            ErrorCode::REBALANCE_IN_PROGRESS => {}
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION | ErrorCode::FENCED_INSTANCE_ID => {
                self.clients[client].member_id.clear();
            }
            other => panic!("an error no client should see: {other}"),
        }
    }

    fn sync(&mut self, client: usize) {
        let Phase::Joined(joined) = self.clients[client].phase.clone() else { return };
        let ids: Vec<&str> = joined.members.iter().map(|member| member.member_id.as_str()).collect();
        let mut assignments = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let mine = |partition: &i32| usize::try_from(*partition).expect("small") % ids.len() == index;
            let part: String = (0..PARTITIONS).filter(mine).map(|one| char::from(one as u8)).collect();
            assignments.push((*id, part));
        }
        let assignments: Vec<(&str, &str)> =
            assignments.iter().map(|(id, part)| (*id, part.as_str())).collect();
        let request = SyncGroupRequest {
            group_instance_id: self.clients[client].instance_id.clone(),
            ..super::sync(&joined, &assignments)
        };
        let ticket = self.seat.send(GroupCall::Sync(request), 5);
        self.clients[client].phase = Phase::Syncing(ticket, joined.generation_id);
    }

    fn heartbeat(&mut self, client: usize) {
        let Phase::Settled(generation) = self.clients[client].phase else { return };
        let error = self.seat.heartbeat_with(HeartbeatRequest {
            group_id: GROUP.to_owned(),
            generation_id: generation,
            member_id: self.clients[client].member_id.clone(),
            group_instance_id: self.clients[client].instance_id.clone(),
        });
        if error != ErrorCode::NONE {
            self.on_error(client, error);
        }
    }

    fn commit(&mut self, client: usize, partition: i32) {
        let Phase::Settled(generation) = self.clients[client].phase else { return };
        self.next_offset += 1;
        let request = OffsetCommitRequest {
            member_id: self.clients[client].member_id.clone(),
            group_instance_id: self.clients[client].instance_id.clone(),
            generation_id_or_member_epoch: generation,
            ..super::commit(partition, self.next_offset)
        };
        match self.seat.commit(request) {
            ErrorCode::NONE => {
                assert_eq!(generation, self.model.settled, "a commit from a generation that was replaced");
                self.model.commits += 1;
                self.model.offsets.insert(partition, self.next_offset);
                self.model.decided.insert(partition, self.model.commits);
            }
            error => self.on_error(client, error),
        }
    }

    fn commit_in_transaction(&mut self, producer: i64, partition: i32) {
        self.next_offset += 1;
        let error = self.seat.commit_in(transactional(producer, 0, partition, self.next_offset));
        assert_eq!(error, ErrorCode::NONE);
        self.model.commits += 1;
        let commit = (self.next_offset, self.model.commits);
        self.model.open.entry(producer).or_default().insert(partition, commit);
    }

    fn marker(&mut self, producer: i64, committed: bool) {
        self.seat.marker(producer, 0, committed);
        let open = self.model.open.remove(&producer).unwrap_or_default();
        for (partition, (offset, number)) in open.into_iter().filter(|_| committed) {
            if self.model.decided.get(&partition).is_none_or(|decided| *decided < number) {
                self.model.offsets.insert(partition, offset);
                self.model.decided.insert(partition, number);
            }
        }
    }

    fn fetch(&mut self, partition: i32) {
        let expected = self.model.offsets.get(&partition).copied().unwrap_or(-1);
        assert_eq!(self.seat.fetch(partition, false), (expected, ErrorCode::NONE));
        let unstable = self.model.open.values().any(|offsets| offsets.contains_key(&partition));
        let (_, error) = self.seat.fetch(partition, true);
        assert_eq!(error == ErrorCode::UNSTABLE_OFFSET_COMMIT, unstable);
    }
}

/// What happens to clients of the newer protocol.
#[derive(Debug, Clone)]
enum Beat {
    Told(usize),
    /// The coordinator hears, the client does not.
    AnswerLost(usize),
    Leave(usize),
    /// The client forgets everything and comes back with its id.
    Restart(usize),
    Subscribe(usize, usize),
    Topics(usize),
    FailOver,
}

const SUBSCRIPTIONS: &[&[&str]] = &[&["t"], &["u"], &["t", "u"], &["t", "u", "later"]];
const CLUSTERS: &[&[(&str, u128, usize)]] = &[
    &[("t", 1, 4), ("u", 2, 2)],
    &[("t", 1, 6), ("u", 2, 2)],
    &[("t", 1, 6), ("later", 3, 3)],
    &[("t", 1, 6), ("u", 4, 3), ("later", 3, 3)],
];

fn beats() -> impl Strategy<Value = Vec<Beat>> {
    let client = || 0..CLIENTS;
    let beat = prop_oneof![
        12 => client().prop_map(Beat::Told),
        3 => client().prop_map(Beat::AnswerLost),
        1 => client().prop_map(Beat::Leave),
        1 => client().prop_map(Beat::Restart),
        1 => (client(), 0..SUBSCRIPTIONS.len()).prop_map(|(client, topics)| Beat::Subscribe(client, topics)),
        1 => (0..CLUSTERS.len()).prop_map(Beat::Topics),
        1 => Just(Beat::FailOver),
    ];
    proptest::collection::vec(beat, 1..150)
}

struct Consumers {
    seat: Seat,
    clients: Vec<Consumer>,
    clusters: i64,
}

impl Consumers {
    fn run(&mut self, beat: &Beat) {
        match *beat {
            Beat::Told(client) => {
                let client = &mut self.clients[client];
                if client.beat(&mut self.seat) != ErrorCode::NONE {
                    (client.epoch, client.owned) = (0, Vec::new());
                }
            }
            Beat::AnswerLost(client) => {
                self.seat.consumer_heartbeat(self.clients[client].heartbeat());
            }
            Beat::Leave(client) => {
                let client = &mut self.clients[client];
                let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..client.heartbeat() };
                self.seat.consumer_heartbeat(leave);
                (client.epoch, client.owned) = (0, Vec::new());
            }
            Beat::Restart(client) => {
                let client = &mut self.clients[client];
                (client.epoch, client.owned) = (0, Vec::new());
            }
            Beat::Subscribe(client, topics) => {
                let topics = SUBSCRIPTIONS[topics].iter().map(|topic| (*topic).to_owned()).collect();
                self.clients[client].wants.subscribed_topic_names = Some(topics);
            }
            Beat::Topics(cluster) => {
                self.clusters += 1;
                let mut image = MetaImage::clone(&topics(CLUSTERS[cluster]));
                image.offset = Offset(self.clusters);
                self.seat.configure(GroupsConfig { topics: Arc::new(image), ..self.seat.config.clone() });
            }
            Beat::FailOver => self.seat.fail_over(),
        }
        self.check();
    }

    /// Nobody has what another has, neither in the clients' minds nor in the coordinator's.
    fn check(&self) {
        let mut owners: BTreeMap<(u128, i32), &str> = BTreeMap::new();
        for client in &self.clients {
            for at in &client.owned {
                let other = owners.insert(*at, &client.id);
                assert_eq!(other, None, "{at:?} is {}'s as well", client.id);
            }
        }
        let Some(group) = self.seat.log.consumer(GROUP) else { return };
        let mut owners: BTreeMap<(TopicId, i32), &str> = BTreeMap::new();
        for (id, member) in &group.members {
            for at in member.assigned.iter().chain(member.revoking.iter()) {
                assert_eq!(owners.insert(at, id), None, "{at:?} is {id}'s as well");
                assert_eq!(group.owner(at.0, at.1), Some(id));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn classic_clients_agree(events in events(), delayed in any::<bool>()) {
        let mut world = World::new(if delayed { "3000" } else { "0" });
        for event in &events {
            world.run(event);
        }
        for partition in 0..PARTITIONS {
            world.fetch(partition);
        }
    }

    #[test]
    fn consumers_never_share_a_partition_and_converge_when_left_alone(beats in beats(), range in any::<bool>()) {
        let assignors = if range { "range" } else { "uniform" };
        let mut consumers = Consumers {
            seat: Seat::with(config(&[("group.consumer.assignors", assignors)])),
            clients: (0..CLIENTS).map(|index| consumer(&format!("m{index}"), &["t"])).collect(),
            clusters: 0,
        };
        for beat in &beats {
            consumers.run(beat);
        }
        for round in 0..20 {
            for client in 0..CLIENTS {
                consumers.run(&Beat::Told(client));
            }
            if round > 3 && consumers.seat.describe_consumers().group_state == "Stable" {
                break;
            }
        }
        let Consumers { mut seat, clients, .. } = consumers;
        prop_assert_eq!(seat.describe_consumers().group_state, "Stable");
        let owned: BTreeSet<_> = clients.iter().flat_map(|client| client.owned.iter().copied()).collect();
        for topic in seat.config.topics.topics() {
            let wanted = clients.iter().any(|client| {
                client.wants.subscribed_topic_names.iter().flatten().any(|name| **name == *topic.name)
            });
            for partition in 0..i32::try_from(topic.partitions.len()).expect("few") {
                prop_assert_eq!(owned.contains(&(topic.id.0, partition)), wanted, "{}-{}", topic.name, partition);
            }
        }
    }
}
