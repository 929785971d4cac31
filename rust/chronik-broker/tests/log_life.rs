//! What becomes of records as time goes by: compaction under reads, keys, codecs and timestamps as a topic asks for.

mod harness;

use std::collections::BTreeMap;

use chronik_replica::CompactionTask;
use chronik_wire::batch::{BatchBuilder, Compression, split_batches};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::PartitionData;
use chronik_wire::types::NodeId;
use harness::client::{fetch_request, one, produce_request};
use harness::{Options, TestCluster};

const NOW_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("internal.segment.bytes", "2000")];
const FETCH_VERSION: i16 = 12;

type Table = BTreeMap<String, Option<String>>;

fn keyed(key: &str, value: Option<&str>) -> BatchBuilder {
    BatchBuilder::new().record(NOW_MS, Some(key.as_bytes()), value.map(str::as_bytes))
}

fn fill(cluster: &mut TestCluster, from: usize, count: usize) -> Table {
    let leader = cluster.leader(cluster.key("t", 0)).expect("a leader");
    let mut written = Table::new();
    for number in from..from + count {
        let key = format!("key {}", number % 9);
        let value = (number % 4 != 3).then(|| format!("value {number} {}", "x".repeat(60)));
        let result = cluster.produce(leader, "t", keyed(&key, value.as_deref()));
        assert_eq!(result.error_code, ErrorCode::NONE, "{result:?}");
        written.insert(key, value);
    }
    written
}

fn note(table: &mut Table, data: &PartitionData) -> Option<i64> {
    let mut next = None;
    for batch in split_batches(data.records.to_bytes()) {
        let batch = batch.expect("whole batches");
        batch.verify_checksum().expect("what is served is intact");
        next = Some(batch.header().next_offset().0);
        for record in batch.records().expect("records") {
            let record = record.expect("record");
            let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
            table.insert(text(record.key.expect("a key")), record.value.map(text));
        }
    }
    next
}

/// What a reader from the beginning to the end believes, read a little at a time, and how many fetches that took.
fn read_table(cluster: &mut TestCluster, node: NodeId) -> (Table, usize) {
    let (mut table, mut offset, mut fetches) = (Table::new(), 0, 0);
    loop {
        let mut request = fetch_request("t", offset, 0);
        request.topics[0].partitions[0].partition_max_bytes = 700;
        let data = cluster.fetch_version(node, FETCH_VERSION, request);
        assert_eq!(data.error_code, ErrorCode::NONE, "{data:?}");
        fetches += 1;
        match note(&mut table, &data) {
            Some(next) => {
                assert!(next > offset, "a reader at {offset} moves on");
                offset = next;
            }
            None => {
                assert_eq!(offset, data.high_watermark, "a reader gets to the end");
                return (table, fetches);
            }
        }
    }
}

fn run_retention(cluster: &mut TestCluster, wall_ms: i64) {
    for node in cluster.nodes.values() {
        node.host.borrow_mut().run_retention(wall_ms);
    }
    cluster.pass_ms(100);
}

/// The tombstones aside, whose time may have come.
fn living(table: &Table) -> Table {
    table
        .iter()
        .filter(|(_, value)| value.is_some())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[test]
fn readers_at_leader_and_followers_see_every_key_while_the_log_is_compacted() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &COMPACTED);
    let mut written = fill(&mut cluster, 0, 150);
    let nodes: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    let (_, fetches_before) = read_table(&mut cluster, nodes[1]);
    run_retention(&mut cluster, NOW_MS + HOUR_MS);
    let mut tasks: BTreeMap<NodeId, CompactionTask> = BTreeMap::new();
    for node in &nodes {
        let task = cluster.node(*node).host.borrow_mut().take_compaction();
        tasks.insert(*node, task.expect("every node has something to do"));
    }
    let mut rounds = 0;
    while !tasks.is_empty() {
        rounds += 1;
        let mut reports = Vec::new();
        for (node, task) in &mut tasks {
            reports.extend(task.step(3_000).map(|report| (*node, report)));
        }
        for (node, report) in reports {
            tasks.remove(&node);
            cluster.node(node).host.borrow_mut().on_compacted(report);
        }
        // Written meanwhile, too.
        written.extend(fill(&mut cluster, 150 + rounds * 2, 2));
        for node in &nodes {
            assert_eq!(
                living(&read_table(&mut cluster, *node).0),
                living(&written),
                "at {node:?} in round {rounds}"
            );
        }
    }
    assert!(rounds > 5, "reads went on during {rounds} rounds");
    for node in &nodes {
        assert_eq!(cluster.node(*node).gates.to_map()["compactions"], 1);
        let (table, fetches) = read_table(&mut cluster, *node);
        assert_eq!(table, written, "tombstones are still there");
        assert!(fetches < fetches_before / 2, "{fetches} fetches instead of {fetches_before}");
    }
    assert!(
        cluster.node(nodes[1]).served_as_follower() > 0 || cluster.node(nodes[2]).served_as_follower() > 0
    );
}

#[test]
fn offsets_by_time_are_found_in_a_compacted_log() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &COMPACTED);
    let leader = cluster.leader(cluster.key("t", 0)).expect("a leader");
    for number in 0..60_i64 {
        let key = format!("key {}", number % 6);
        let value = "x".repeat(100);
        let batch = BatchBuilder::new().record(NOW_MS + number, Some(key.as_bytes()), Some(value.as_bytes()));
        cluster.produce(leader, "t", batch);
    }
    run_retention(&mut cluster, NOW_MS + HOUR_MS);
    for node in cluster.nodes.values() {
        let mut task = node.host.borrow_mut().take_compaction().expect("something to do");
        let report = std::iter::repeat_with(|| task.step(1 << 20)).flatten().next().expect("it ends");
        node.host.borrow_mut().on_compacted(report);
    }
    let nodes: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    for node in nodes {
        let first = cluster.fetch(node, "t", 0, 0);
        let first = split_batches(first.records.to_bytes()).next().expect("a batch").expect("whole");
        let base = first.header().base_offset.0;
        assert!(base > 20, "what was superseded is gone: {base}");
        // The time of a record that is gone is answered by the first that is left.
        assert_eq!(cluster.list_offset(node, "t", NOW_MS), (ErrorCode::NONE, base));
        assert_eq!(cluster.list_offset(node, "t", NOW_MS + 59), (ErrorCode::NONE, 59));
        assert_eq!(cluster.list_offset(node, "t", NOW_MS + 60), (ErrorCode::NONE, -1));
        assert_eq!(cluster.list_offset(node, "t", -3), (ErrorCode::NONE, 59), "the largest timestamp");
        assert_eq!(cluster.list_offset(node, "t", -2), (ErrorCode::NONE, 0), "the log still begins at 0");
    }
}

#[test]
fn a_compacted_topic_refuses_records_without_a_key() {
    let mut cluster = TestCluster::start(1, &Options::default());
    cluster.create_topic("t", 1, &[("cleanup.policy", "compact,delete")]);
    let leader = NodeId(1);
    let refused = cluster.produce(leader, "t", one("no key"));
    assert_eq!(refused.error_code, ErrorCode::INVALID_RECORD, "{refused:?}");
    let mixed = BatchBuilder::new().compression(Compression::Zstd).record(NOW_MS, Some(b"k"), Some(b"v"));
    let mixed = mixed.record(NOW_MS, None, Some(b"v"));
    assert_eq!(cluster.produce(leader, "t", mixed).error_code, ErrorCode::INVALID_RECORD);
    assert_eq!(cluster.produce(leader, "t", keyed("k", None)).error_code, ErrorCode::NONE);
    cluster.create_topic("plain", 1, &[]);
    assert_eq!(cluster.produce(leader, "plain", one("no key")).error_code, ErrorCode::NONE);
}

#[test]
fn a_topics_own_codec_replaces_the_producers() {
    let mut cluster = TestCluster::start(1, &Options::default());
    for (topic, wanted) in
        [("t-zstd", "zstd"), ("t-plain", "uncompressed"), ("t-lz4", "lz4"), ("t-any", "producer")]
    {
        cluster.create_topic(topic, 1, &[("compression.type", wanted)]);
        for (number, codec) in (0_i64..).zip(Compression::ALL) {
            let batch = BatchBuilder::new().compression(codec);
            let batch =
                batch.record(NOW_MS, Some(b"k"), Some(b"a value, a value, a value, a value, a value"));
            assert_eq!(cluster.produce(NodeId(1), topic, batch).error_code, ErrorCode::NONE);
            let data = cluster.fetch(NodeId(1), topic, number, 0);
            let stored = split_batches(data.records.to_bytes()).next().expect("a batch").expect("whole");
            stored.verify_checksum().expect("a checksum of its own");
            let stored_codec = stored.header().attributes.compression().expect("known");
            let expected = match wanted {
                "producer" => codec.name(),
                "uncompressed" => "none",
                other => other,
            };
            assert_eq!(stored_codec.name(), expected, "{topic}");
            let records: Vec<_> =
                stored.records().expect("records").map(|record| record.expect("record")).collect();
            assert_eq!((records.len(), records[0].offset.0), (1, number));
        }
    }
}

#[test]
fn a_batch_that_grows_beyond_the_limit_under_the_topics_codec_is_refused() {
    let mut cluster = TestCluster::start(1, &Options::default());
    let configs = [("compression.type", "uncompressed"), ("max.message.bytes", "1000")];
    cluster.create_topic("t", 1, &configs);
    let batch = |bytes: usize| {
        let value = vec![b'x'; bytes];
        BatchBuilder::new().compression(Compression::Gzip).record(NOW_MS, Some(b"k"), Some(&value))
    };
    assert_eq!(cluster.produce(NodeId(1), "t", batch(5_000)).error_code, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(cluster.produce(NodeId(1), "t", batch(800)).error_code, ErrorCode::NONE);
}

#[test]
fn zstd_is_for_clients_that_know_it() {
    let mut cluster = TestCluster::start(1, &Options::default());
    cluster.create_topic("t", 1, &[]);
    let batch = || BatchBuilder::new().compression(Compression::Zstd).record(NOW_MS, None, Some(b"v"));
    for (version, expected) in [(6, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE), (7, ErrorCode::NONE)] {
        let request = produce_request("t", 0, batch(), -1, 1_000);
        let response = cluster.call(NodeId(1), version, &request);
        assert_eq!(response.responses[0].partition_responses[0].error_code, expected, "version {version}");
    }
}

#[test]
fn retention_goes_by_the_largest_timestamp_of_a_segment_and_by_size() {
    let mut cluster = TestCluster::start(3, &Options::default());
    cluster.create_topic("t", 1, &[("retention.ms", "60000"), ("internal.segment.bytes", "2000")]);
    fill(&mut cluster, 0, 60);
    let log_start = |cluster: &mut TestCluster, node| cluster.list_offset(node, "t", -2).1;
    let nodes: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    run_retention(&mut cluster, NOW_MS + 60_000);
    assert_eq!(log_start(&mut cluster, nodes[1]), 0, "not older than the limit");
    run_retention(&mut cluster, NOW_MS + 60_001);
    for node in &nodes {
        assert_eq!(
            log_start(&mut cluster, *node),
            60,
            "an idle partition empties in time, the last segment too"
        );
    }

    cluster.create_topic("u", 1, &[("retention.ms", "-1"), ("internal.segment.bytes", "2000")]);
    let leader = cluster.leader(cluster.key("u", 0)).expect("a leader");
    for _ in 0..40 {
        cluster.produce(leader, "u", one(&"x".repeat(100)));
    }
    run_retention(&mut cluster, NOW_MS + 1_000 * HOUR_MS);
    assert_eq!(cluster.list_offset(nodes[0], "u", -2), (ErrorCode::NONE, 0), "-1 keeps everything");

    cluster.create_topic("v", 1, &[("retention.bytes", "4000"), ("internal.segment.bytes", "2000")]);
    let leader = cluster.leader(cluster.key("v", 0)).expect("a leader");
    for _ in 0..60 {
        cluster.produce(leader, "v", one(&"x".repeat(100)));
    }
    run_retention(&mut cluster, NOW_MS);
    let start = cluster.list_offset(nodes[2], "v", -2).1;
    assert!((20..50).contains(&start), "about two segments are left: {start}");
}

#[test]
fn append_time_decides_about_lookups_and_retention() {
    let mut cluster = TestCluster::start(1, &Options::default());
    let configs = [
        ("message.timestamp.type", "LogAppendTime"),
        ("retention.ms", "60000"),
        ("internal.segment.bytes", "2000"),
    ];
    cluster.create_topic("t", 1, &configs);
    let began_ms = NOW_MS + cluster.now_ms() as i64;
    for _ in 0..10 {
        // The producer's clock is a year behind.
        let batch = BatchBuilder::new().record(NOW_MS - 365 * 24 * HOUR_MS, Some(b"k"), Some(b"v"));
        assert_eq!(cluster.produce(NodeId(1), "t", batch).error_code, ErrorCode::NONE);
        cluster.pass_ms(100);
    }
    assert_eq!(cluster.list_offset(NodeId(1), "t", began_ms), (ErrorCode::NONE, 0));
    assert_eq!(cluster.list_offset(NodeId(1), "t", began_ms + 500).1, 5);
    let now_ms = NOW_MS + cluster.now_ms() as i64;
    run_retention(&mut cluster, now_ms);
    assert_eq!(cluster.list_offset(NodeId(1), "t", -2).1, 0, "young by the broker's clock");
}
