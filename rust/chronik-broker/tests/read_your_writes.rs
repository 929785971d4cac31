//! Ten thousand times: an acknowledged produce, then at once Fetch and ListOffsets at each replica, while leadership
//! moves, links are cut one way and nodes freeze. Never a stale end, never a false empty; an honest error is allowed.

mod harness;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, PartitionKey};
use harness::client::{PRODUCE_VERSION, one, produce_request, values};
use harness::{Options, TestCluster};

const LATEST: i64 = -1;
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// What a run has seen.
#[derive(Debug, Default)]
struct Seen {
    served: [u64; 3],
    refused: u64,
    stale: Vec<String>,
    leaders: u64,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One step of disorder: about one in `calm` rounds changes something.
fn disturb(cluster: &mut TestCluster, random: &mut Random, key: PartitionKey, calm: u64) {
    if random.below(calm) != 0 {
        return;
    }
    let node = NODES[random.below(3) as usize];
    let other = NODES[random.below(3) as usize];
    match random.below(5) {
        0 if node != other => cluster.cut(node, other),
        1 => {
            for frozen in NODES {
                cluster.thaw(frozen);
            }
            cluster.freeze(node);
        }
        2 => {
            // A transfer that cannot be started now is no fault.
            for from in NODES {
                let _ = cluster.node(from).host.borrow_mut().transfer_leader(key, node);
            }
        }
        _ => {
            cluster.recover();
            for frozen in NODES {
                cluster.thaw(frozen);
            }
        }
    }
}

/// Produces until acknowledged. Where no leader can be reached the disorder is ended.
fn send_acknowledged(cluster: &mut TestCluster, key: PartitionKey, value: &str, seen: &mut Seen) -> i64 {
    for attempt in 0.. {
        if attempt == 6 {
            cluster.recover();
            for node in NODES {
                cluster.thaw(node);
            }
        }
        let leader = NODES
            .into_iter()
            .filter(|node| !cluster.is_frozen(*node))
            .find(|node| cluster.node(*node).host.borrow().view(key).is_ok_and(|view| view.confirmed));
        let Some(leader) = leader else {
            cluster.pass_ms(50);
            continue;
        };
        let asked =
            cluster.ask(leader, false, PRODUCE_VERSION, &produce_request("t", 0, one(value), -1, 300));
        if let Some(Ok(Some(response))) = cluster.run_while_thawed(leader, asked) {
            let result = &response.responses[0].partition_responses[0];
            if result.error_code == ErrorCode::NONE {
                seen.leaders |= 1 << leader.0;
                return result.base_offset;
            }
        }
        cluster.pass_ms(20);
    }
    unreachable!("the loop above has no end")
}

fn read_everywhere(cluster: &mut TestCluster, offset: i64, value: &str, seen: &mut Seen) {
    for (index, node) in NODES.into_iter().enumerate() {
        if cluster.is_frozen(node) {
            continue;
        }
        let data = cluster.fetch(node, "t", offset, 0);
        match data.error_code {
            ErrorCode::NONE
                if data.high_watermark > offset && values(&data).first().is_some_and(|v| v == value) =>
            {
                seen.served[index] += 1;
            }
            ErrorCode::OFFSET_NOT_AVAILABLE | ErrorCode::NOT_LEADER_OR_FOLLOWER => seen.refused += 1,
            _ => seen.stale.push(format!("fetch of {offset} at {node:?}: {data:?}")),
        }
        match cluster.list_offset(node, "t", LATEST) {
            (ErrorCode::NONE, end) if end > offset => {}
            (ErrorCode::OFFSET_NOT_AVAILABLE | ErrorCode::NOT_LEADER_OR_FOLLOWER, _) => seen.refused += 1,
            listed => seen.stale.push(format!("end after {offset} at {node:?}: {listed:?}")),
        }
    }
}

fn run(seed: u64, rounds: usize, calm: u64, options: &Options) -> Seen {
    let mut cluster = TestCluster::start(3, options);
    cluster.create_topic("t", 1, &[]);
    let key = cluster.key("t", 0);
    let mut random = Random(seed);
    let mut seen = Seen::default();
    for round in 0..rounds {
        disturb(&mut cluster, &mut random, key, calm);
        let value = format!("v{round}");
        let offset = send_acknowledged(&mut cluster, key, &value, &mut seen);
        read_everywhere(&mut cluster, offset, &value, &mut seen);
        if !seen.stale.is_empty() {
            break;
        }
    }
    seen
}

#[test]
fn ten_thousand_times_every_replica_returns_what_was_just_acknowledged() {
    let seen = run(1, 10_000, u64::MAX, &Options::default());
    assert_eq!(seen.stale, Vec::<String>::new());
    assert_eq!((seen.served, seen.refused), ([10_000; 3], 0));
}

#[test]
fn the_same_in_disorder_with_an_honest_error_allowed() {
    for seed in 0..8 {
        let seen = run(seed, 1_250, 5, &Options::default());
        assert_eq!(seen.stale, Vec::<String>::new(), "seed {seed}");
        assert!(seen.served.iter().all(|served| *served > 100), "every replica has served: {seen:?}");
        assert!(seen.refused > 0 && seen.leaders.count_ones() > 1, "the disorder was felt: {seen:?}");
    }
}

#[test]
fn without_the_gate_the_same_disorder_shows_stale_reads() {
    let options = Options { gate_off: true, ..Options::default() };
    let caught = (0..8).filter(|seed| !run(*seed, 1_250, 5, &options).stale.is_empty()).count();
    assert_eq!(caught, 8, "every seed notices that the gate is off");
}
