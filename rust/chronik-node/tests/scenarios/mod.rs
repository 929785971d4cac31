//! What must hold whatever carries the messages between nodes: one body per claim, run over every transport.
#![allow(unreachable_pub)]

use chronik_node::{Cluster, NewNode, NodeId, Transport, Unsynced};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::FetchRequest;

use crate::support::{Client, assert_quiet, eventually, fetch_request, produce_acked, start, with_topic};
use crate::support::{FETCH, PRODUCE, produce_request};

/// How the nodes of a scenario are carried.
#[derive(Clone, Copy)]
pub struct Carried {
    pub transport: Transport,
    pub shards: usize,
}

impl Carried {
    fn cluster(self) -> Cluster {
        with_topic(|options| {
            options.transport = self.transport;
            options.shards = self.shards;
        })
    }
}

fn stat(cluster: &Cluster, node: NodeId, name: &str) -> u64 {
    *cluster.node_stats(node).unwrap().get(name).unwrap_or_else(|| panic!("no counter {name}"))
}

/// What the nodes have logged, for the report of a failure.
fn story(cluster: &Cluster) -> String {
    let lines = cluster.node_ids().into_iter().flat_map(|node| {
        let lines = cluster.node_logs(node).unwrap();
        lines.into_iter().map(move |line| format!("\n  node {node}: {line}"))
    });
    lines.collect()
}

/// After an ack every replica shows the record: by Fetch and by ListOffsets, served by that very replica behind a gate.
pub fn every_replica_shows_what_was_acknowledged(carried: Carried, rounds: i64) {
    let cluster = carried.cluster();
    let leader = cluster.leader("t", 0).unwrap();
    let followers = cluster.followers("t", 0).unwrap();
    let mut producer = Client::to(&cluster, leader);
    let mut readers: Vec<(NodeId, Client)> =
        cluster.node_ids().into_iter().map(|node| (node, Client::to(&cluster, node))).collect();
    for round in 0..rounds {
        let value = format!("value-{round}");
        let offset = producer.produce("t", value.as_bytes()).unwrap().unwrap();
        assert_eq!(offset, round);
        for (node, reader) in &mut readers {
            let latest = reader.latest("t").unwrap();
            assert_eq!(latest, Ok(round + 1), "end at node {node}");
            let fetched = reader.fetch("t", round, 0).unwrap();
            assert_eq!(fetched.error_code, ErrorCode::NONE, "at node {node}, {}", story(&cluster));
            assert_eq!(fetched.high_watermark, round + 1, "at node {node}");
            assert!(!fetched.records.is_empty(), "false empty at node {node}, round {round}");
        }
    }
    for follower in followers {
        assert!(stat(&cluster, follower, "fetches_served_as_follower") >= rounds as u64);
        assert!(stat(&cluster, follower, "read_gate_rounds") > 0, "the gate was never passed");
        assert_eq!(stat(&cluster, follower, "fetches_served_as_leader"), 0);
    }
    assert_quiet(&cluster);
}

/// A long poll at a follower is answered by the record it waits for, not by its time running out.
pub fn a_parked_fetch_is_woken_by_the_record(carried: Carried) {
    let cluster = carried.cluster();
    let follower = cluster.followers("t", 0).unwrap()[0];
    let mut reader = Client::to(&cluster, follower);
    let parked = stat(&cluster, follower, "fetches_parked");
    reader.send(&fetch_request("t", 0, 15_000), FETCH);
    eventually("the fetch is parked", || stat(&cluster, follower, "fetches_parked") > parked);
    let begun = std::time::Instant::now();
    produce_acked(&cluster, "t", b"x");
    let (_, answer) = reader.receive::<chronik_wire::messages::fetch::FetchRequest>(FETCH).unwrap();
    let partition = &answer.responses[0].partitions[0];
    assert!(!partition.records.is_empty());
    assert!(begun.elapsed().as_secs() < 5, "woken by its deadline only");
}

/// A killed leader is replaced at once, a cut or frozen one after a timeout; what was acknowledged stays.
pub fn a_lost_leader_is_replaced(carried: Carried) {
    let cluster = carried.cluster();
    produce_acked(&cluster, "t", b"before");

    let first = cluster.leader("t", 0).unwrap();
    let begun = std::time::Instant::now();
    cluster.kill(first).unwrap();
    let offset = produce_acked(&cluster, "t", b"after a kill");
    println!("kill to next ack: {:?}", begun.elapsed());
    assert_eq!(offset, 1);
    cluster.restart(first).unwrap();
    readable_everywhere(&cluster, 2);

    let second = cluster.leader("t", 0).unwrap();
    let begun = std::time::Instant::now();
    cluster.isolate(second).unwrap();
    // The old leader must not lie to its own clients: it answers, and not with an empty success.
    let mut captive = Client::to(&cluster, second);
    let cut_off = captive.fetch("t", 2, 300).unwrap();
    assert_ne!(cut_off.error_code, ErrorCode::NONE, "a deposed leader claims an end");
    eventually("another leader", || cluster.leader("t", 0).unwrap() != second);
    produce_acked(&cluster, "t", b"after a cut");
    println!("cut to next ack: {:?}", begun.elapsed());
    cluster.recover().unwrap();
    readable_everywhere(&cluster, 3);

    let third = cluster.leader("t", 0).unwrap();
    let begun = std::time::Instant::now();
    cluster.freeze(third).unwrap();
    eventually("another leader", || cluster.leader("t", 0).unwrap() != third);
    produce_acked(&cluster, "t", b"after a freeze");
    println!("freeze to next ack: {:?}", begun.elapsed());
    cluster.thaw(third).unwrap();
    readable_everywhere(&cluster, 4);
}

/// Waits until every node reads up to `end`.
fn readable_everywhere(cluster: &Cluster, end: i64) {
    for node in cluster.node_ids() {
        let mut reader = Client::to(cluster, node);
        eventually("every node reads to the end", || {
            let answer = reader.fetch("t", end - 1, 0).unwrap();
            answer.error_code == ErrorCode::NONE && answer.high_watermark == end
        });
    }
}

/// A frozen node keeps its sockets and says nothing; after the thaw it answers what it was asked.
pub fn a_frozen_node_answers_after_the_thaw(carried: Carried) {
    let cluster = carried.cluster();
    let follower = cluster.followers("t", 0).unwrap()[0];
    let mut reader = Client::to(&cluster, follower);
    reader.latest("t").unwrap().unwrap();
    cluster.freeze(follower).unwrap();
    reader.send(&fetch_request("t", 0, 0), FETCH);
    let offset = produce_acked(&cluster, "t", b"while frozen");
    let before = stat(&cluster, follower, "requests");
    assert_eq!(stat(&cluster, follower, "requests"), before, "a frozen node took a request");
    cluster.thaw(follower).unwrap();
    let (_, answer) = reader.receive::<chronik_wire::messages::fetch::FetchRequest>(FETCH).unwrap();
    let partition = &answer.responses[0].partitions[0];
    // It was asked before the record and answers after it: either it shows it, or it says that it cannot tell yet.
    if partition.error_code == ErrorCode::NONE {
        assert_eq!(partition.high_watermark, offset + 1, "the frozen node lied about the end");
    }
    readable_everywhere(&cluster, offset + 1);
}

/// Crashes that lose unsynced bytes lose nothing that was acknowledged.
pub fn crashes_and_a_power_cut_lose_nothing_acknowledged(carried: Carried) {
    let cluster = carried.cluster();
    let mut end = 0;
    for round in 0..6 {
        end = produce_acked(&cluster, "t", format!("r{round}").as_bytes()) + 1;
        let victim =
            if round % 2 == 0 { cluster.leader("t", 0) } else { cluster.followers("t", 0).map(|all| all[0]) };
        let victim = victim.unwrap();
        let unsynced = [Unsynced::Drop, Unsynced::Torn, Unsynced::Keep][round % 3];
        cluster.crash(victim, unsynced).unwrap();
        assert!(!cluster.node(victim).unwrap().running);
        end = end.max(produce_acked(&cluster, "t", b"meanwhile") + 1);
        cluster.restart(victim).unwrap();
    }
    readable_everywhere(&cluster, end);
    cluster.power_cut().unwrap();
    readable_everywhere(&cluster, end);
    assert_eq!(produce_acked(&cluster, "t", b"after the power cut"), end);
}

/// A node that lost its disk holds everything again and serves reads, and counts for nobody's quorum.
pub fn a_wiped_node_follows_without_a_vote(carried: Carried) {
    let cluster = carried.cluster();
    assert_eq!(produce_acked(&cluster, "t", b"before"), 0);
    let followers = cluster.followers("t", 0).unwrap();
    let (wiped, other) = (followers[0], followers[1]);
    cluster.wipe(wiped).unwrap();
    assert!(!cluster.node(wiped).unwrap().running);
    cluster.wipe(wiped).unwrap();
    assert_eq!(produce_acked(&cluster, "t", b"without it"), 1);
    cluster.restart(wiped).unwrap();
    let served = stat(&cluster, wiped, "fetches_served_as_follower");
    readable_everywhere(&cluster, 2);
    assert!(stat(&cluster, wiped, "fetches_served_as_follower") > served, "another node served it");

    let leader = cluster.leader("t", 0).unwrap();
    let refused = |cluster: &Cluster| stat(cluster, wiped, "votes_refused_unknown_directory");
    cluster.kill(other).unwrap();
    let before = refused(&cluster);
    eventually("the leader to step down and ask for votes", || refused(&cluster) > before);
    let mut answer = Client::to(&cluster, leader);
    let alone = answer.produce("t", b"on one member");
    assert!(!matches!(alone, Ok(Ok(_))), "acknowledged by one member of three: {alone:?}");
    cluster.restart(other).unwrap();
    let offset = produce_acked(&cluster, "t", b"after");
    readable_everywhere(&cluster, offset + 1);
}

/// A node joins, another leaves with its replicas moving to it, and a founder's loss is then survived.
pub fn nodes_come_and_go(carried: Carried) {
    let cluster = carried.cluster();
    assert_eq!(produce_acked(&cluster, "t", b"before"), 0);
    let joined = cluster.add_node(&NewNode::default()).unwrap();
    assert!(cluster.node(joined).unwrap().votes && cluster.node_ids().len() == 4);
    let leaver = cluster.leader("t", 0).unwrap();
    cluster.remove_node(leaver).unwrap();
    assert!(cluster.node(leaver).is_err() && cluster.node_ids().len() == 3);
    assert_eq!(produce_acked(&cluster, "t", b"after"), 1);
    readable_everywhere(&cluster, 2);
    let replicas = [cluster.leader("t", 0).unwrap()].into_iter().chain(cluster.followers("t", 0).unwrap());
    assert!(replicas.into_iter().any(|node| node == joined), "nothing moved to the new node");
    let founder = cluster.node_ids()[0];
    cluster.kill(founder).unwrap();
    assert_eq!(produce_acked(&cluster, "t", b"two of three"), 2);
    cluster.restart(founder).unwrap();
    readable_everywhere(&cluster, 3);
    assert_ne!(cluster.add_node(&NewNode::default()).unwrap(), leaver, "an id was given twice");
}

/// Everybody who was there at the beginning leaves; those who came later start again, on their disks and on empty ones.
pub fn a_cluster_outlives_its_founders(carried: Carried) {
    let cluster = carried.cluster();
    assert_eq!(produce_acked(&cluster, "t", b"of the founders"), 0);
    for founder in cluster.node_ids() {
        cluster.add_node(&NewNode::default()).unwrap();
        cluster.remove_node(founder).unwrap();
    }
    assert_eq!(produce_acked(&cluster, "t", b"of the heirs"), 1);
    let heirs = cluster.node_ids();
    for node in &heirs {
        cluster.kill(*node).unwrap();
    }
    for node in &heirs {
        cluster.restart(*node).unwrap();
    }
    assert_eq!(produce_acked(&cluster, "t", b"of their second life"), 2);
    cluster.wipe(heirs[0]).unwrap();
    let restarted = cluster.restart(heirs[0]);
    assert!(restarted.is_ok(), "{restarted:?}: {}", story(&cluster));
    cluster.readmit(heirs[0]).unwrap();
    readable_everywhere(&cluster, 3);
}

/// A lost disk gets its vote back; then another node may die. Until then a founder follows, and a node whose lost disk had
/// itself been admitted learns nothing, while its clients wait.
pub fn a_lost_disk_is_admitted_again(carried: Carried) {
    let cluster = carried.cluster();
    assert_eq!(produce_acked(&cluster, "t", b"before"), 0);
    let followers = cluster.followers("t", 0).unwrap();
    let (wiped, other) = (followers[0], followers[1]);
    cluster.wipe(wiped).unwrap();
    let applied = stat(&cluster, wiped, "entries_applied");
    cluster.restart(wiped).unwrap();
    assert!(!cluster.node(wiped).unwrap().votes);
    eventually("the founder to follow", || stat(&cluster, wiped, "entries_applied") > applied);
    cluster.readmit(wiped).unwrap();
    assert!(cluster.node(wiped).unwrap().votes);
    // And again, now in place of a disk that the cluster was not founded with.
    cluster.wipe(wiped).unwrap();
    let applied = stat(&cluster, wiped, "entries_applied");
    cluster.restart(wiped).unwrap();
    let mut waiting = Client::to(&cluster, wiped);
    waiting.send(&fetch_request("t", 1, 0), FETCH);
    assert_eq!(produce_acked(&cluster, "t", b"without it"), 1);
    assert_eq!(stat(&cluster, wiped, "entries_applied"), applied, "it was told before it was admitted");
    cluster.readmit(wiped).unwrap();
    let (_, mut answer) = waiting.receive::<FetchRequest>(FETCH).expect("who waited is answered");
    let mut partition = answer.responses.remove(0).partitions.remove(0);
    eventually("the node to follow", || {
        // A shard may hear the request before it has its replica; it says so, and the client asks again.
        let is_told = partition.error_code != ErrorCode::NOT_LEADER_OR_FOLLOWER;
        if !is_told {
            partition = waiting.fetch("t", 1, 0).unwrap();
        }
        is_told
    });
    assert_eq!((partition.error_code, partition.high_watermark), (ErrorCode::NONE, 2));
    assert!(!partition.records.is_empty(), "who waited is shown what was acknowledged meanwhile");
    cluster.kill(other).unwrap();
    assert_eq!(produce_acked(&cluster, "t", b"two of three"), 2);
    cluster.restart(other).unwrap();
    readable_everywhere(&cluster, 3);
}

/// Faulty links delay and lose messages; acknowledged records stay readable everywhere.
pub fn slow_and_lossy_links_are_survived(carried: Carried) {
    let cluster = carried.cluster();
    let leader = cluster.leader("t", 0).unwrap();
    let followers = cluster.followers("t", 0).unwrap();
    cluster.delay(leader, followers[0], 30).unwrap();
    cluster.drop_ratio(leader, followers[1], 0.3).unwrap();
    let dropped = cluster.stats()["peer_messages_dropped"];
    let mut end = 0;
    for _ in 0..30 {
        end = produce_acked(&cluster, "t", b"x") + 1;
    }
    assert!(cluster.stats()["peer_messages_dropped"] > dropped, "no message was lost");
    readable_everywhere(&cluster, end);
    cluster.recover().unwrap();
    readable_everywhere(&cluster, end);
}

/// One direction of a link is cut: the follower that hears nothing does not claim an end.
pub fn a_follower_that_hears_nothing_claims_nothing(carried: Carried) {
    let cluster = carried.cluster();
    let leader = cluster.leader("t", 0).unwrap();
    let followers = cluster.followers("t", 0).unwrap();
    cluster.cut(leader, followers[0], true).unwrap();
    let mut reader = Client::to(&cluster, followers[0]);
    for _ in 0..5 {
        let offset = produce_acked(&cluster, "t", b"x");
        let answer = reader.fetch("t", offset, 0).unwrap();
        let told = answer.error_code != ErrorCode::NONE || answer.high_watermark > offset;
        assert!(told, "an end of {} after an ack of {offset}", answer.high_watermark);
    }
    cluster.recover().unwrap();
}

/// Leadership moves where it is told to.
pub fn leadership_moves(carried: Carried) {
    let cluster = carried.cluster();
    for _ in 0..4 {
        let to = cluster.followers("t", 0).unwrap()[0];
        cluster.transfer_leader("t", 0, to).unwrap();
        assert_eq!(cluster.leader("t", 0).unwrap(), to);
        Client::to(&cluster, to).produce("t", b"x").unwrap().unwrap();
    }
    cluster.delete_topic("t").unwrap();
    assert!(cluster.topics().is_empty());
    assert_quiet(&cluster);
}

/// Pipelined produces are answered in order and land in order, with fetches between them in their place.
pub fn a_pipeline_keeps_its_order(carried: Carried) {
    let cluster = carried.cluster();
    let leader = cluster.leader("t", 0).unwrap();
    let mut client = Client::to(&cluster, leader);
    let mut sent = Vec::new();
    for round in 0..50_i64 {
        sent.push(client.send(&produce_request("t", b"a", -1), PRODUCE));
        sent.push(client.send(&produce_request("t", b"b", 1), PRODUCE));
        client.send(&produce_request("t", b"c", 0), PRODUCE);
        sent.push(client.send(&fetch_request("t", 3 * round, 0), FETCH));
    }
    for round in 0..50_i64 {
        for place in 0..2 {
            let (answered, answer) =
                client.receive::<chronik_wire::messages::produce::ProduceRequest>(PRODUCE).unwrap();
            assert_eq!(answered, sent[(3 * round + place) as usize]);
            assert_eq!(answer.responses[0].partition_responses[0].base_offset, 3 * round + place);
        }
        let (answered, answer) =
            client.receive::<chronik_wire::messages::fetch::FetchRequest>(FETCH).unwrap();
        assert_eq!(answered, sent[(3 * round + 2) as usize]);
        assert!(answer.responses[0].partitions[0].high_watermark >= 3 * round + 2);
    }
}

/// Many partitions: created at once, led by all nodes, every one of them works.
pub fn many_partitions_work(carried: Carried) {
    let cluster = start(|options| {
        options.transport = carried.transport;
        options.shards = carried.shards;
    });
    cluster.create_topic("many", Some(60), Some(3), &Default::default()).unwrap();
    let leaders = cluster.leaders();
    assert_eq!(leaders.len(), 60);
    for node in cluster.node_ids() {
        let led = leaders.iter().filter(|partition| partition.leader == Some(node)).count();
        assert_eq!(led, 20, "partitions led by node {node}");
    }
    for partition in leaders {
        let leader = partition.leader.unwrap();
        let mut request = produce_request("many", b"x", -1);
        request.topic_data[0].partition_data[0].index = partition.partition.0;
        let answer = Client::to(&cluster, leader).call(&request, PRODUCE).unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    }
    assert_quiet(&cluster);
}

/// A node finds its place at every start, in whatever order its threads hear of the metadata and of its registration.
pub fn a_node_that_lost_its_disk_always_comes_back(carried: Carried, times: usize) {
    let cluster = carried.cluster();
    assert_eq!(produce_acked(&cluster, "t", b"before"), 0);
    let follower = cluster.followers("t", 0).unwrap()[0];
    for _ in 0..times {
        cluster.wipe(follower).unwrap();
        cluster.restart(follower).unwrap();
        readable_everywhere(&cluster, 1);
    }
}
