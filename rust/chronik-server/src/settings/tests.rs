//! Resolution as a whole: shapes, precedence, defaults, and one line per mistake.

use super::*;
use crate::layers::Source;

/// The three-node file of the original design, for one of its nodes.
fn node_file(id: i32) -> String {
    let peers: String = (1..=3)
        .map(|id| {
            format!("[[peers]]\nid = {id}\naddr = \"localhost:{}\"\nraft_port = {}\n", 9091 + id, 5000 + id)
        })
        .collect();
    format!("enabled = true\nnode_id = {id}\nreplication_factor = 3\nmin_insync_replicas = 2\n{peers}")
}

fn resolve(flags: &[(&'static str, &str)], env: &[(&str, &str)], file: &str) -> (Option<Settings>, Findings) {
    let flags = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let environment = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let check_kafka_key = |name: &str, value: &str| match (name, value) {
        ("num.partition", _) => Err(vec!["num.partition is no Kafka key".to_owned()]),
        ("zookeeper.connect", _) => Ok(vec!["zookeeper.connect has no effect".to_owned()]),
        _ => Ok(Vec::new()),
    };
    Settings::resolve(&Inputs {
        flags: &flags,
        environment: &environment,
        file: (!file.is_empty()).then_some(("node.toml", file)),
        cores: 2,
        check_kafka_key: &check_kafka_key,
    })
}

#[track_caller]
fn valid(flags: &[(&'static str, &str)], env: &[(&str, &str)], file: &str) -> Settings {
    let (settings, findings) = resolve(flags, env, file);
    settings.unwrap_or_else(|| panic!("{}", mistake_lines(&findings.mistakes)))
}

#[track_caller]
fn mistakes(flags: &[(&'static str, &str)], env: &[(&str, &str)], file: &str) -> Vec<String> {
    let (settings, findings) = resolve(flags, env, file);
    assert!(settings.is_none());
    findings.mistakes.iter().map(ToString::to_string).collect()
}

fn address(text: &str) -> HostPort {
    HostPort::parse(text).unwrap()
}

fn parts(settings: &Settings) -> (String, String, String, String) {
    let advertised = &settings.advertised.value;
    (
        settings.node_id.value.to_string(),
        settings.kafka.value.to_string(),
        format!("{}:{}", advertised.host, advertised.port.unwrap_or(0)),
        settings.raft.as_ref().map_or_else(String::new, |raft| raft.value.to_string()),
    )
}

fn expected(id: &str, kafka: &str, advertised: &str, raft: &str) -> (String, String, String, String) {
    (id.into(), kafka.into(), advertised.into(), raft.into())
}

#[test]
fn nothing_set_is_a_single_node_on_loopback() {
    let (settings, findings) = resolve(&[], &[], "");
    assert_eq!(findings, Findings::default());
    let settings = settings.unwrap();
    assert_eq!(parts(&settings), expected("1", "127.0.0.1:9092", "127.0.0.1:0", ""));
    assert!(settings.peers.is_empty());
    assert_eq!((settings.replication_factor.value, settings.min_insync_replicas.value), (1, 1));
    assert_eq!(settings.durability, Sourced { value: Durability::Fsync, source: Source::Default });
    assert_eq!(settings.data_dir.value, PathBuf::from("./data"));
    assert_eq!(settings.segment_bytes.value, 250 << 20);
    assert_eq!(settings.gate_cap_ms.value, 5_000);
    assert!(settings.fetch_from_followers.value);
    assert_eq!(settings.shards.value, 2);
    assert_eq!(settings.log_filter.value, "info");
}

#[test]
fn the_original_files_resolve_for_every_node() {
    for id in 1..=3 {
        let (settings, findings) = resolve(&[], &[], &node_file(id));
        assert_eq!(findings, Findings::default());
        let settings = settings.unwrap();
        let kafka = 9091 + id;
        let raft = format!("127.0.0.1:{}", 5000 + id);
        assert_eq!(
            parts(&settings),
            expected(&id.to_string(), &format!("127.0.0.1:{kafka}"), &format!("localhost:{kafka}"), &raft)
        );
        assert_eq!(settings.data_dir.value, PathBuf::from(format!("./data/node-{id}")));
        assert_eq!(settings.peers.len(), 3);
        assert_eq!(settings.peers[2].raft, address("localhost:5003"));
        assert_eq!((settings.replication_factor.value, settings.min_insync_replicas.value), (3, 2));
    }
}

#[test]
fn all_three_shapes_mean_the_same() {
    let flat = node_file(2);
    let nested = format!("[cluster]\n{}", flat.replace("[[peers]]", "[[cluster.peers]]"));
    let later: String = (1..=3)
        .map(|id| {
            format!(
                "[[peers]]\nid = {id}\nkafka = \"localhost:{}\"\nwal = \"localhost:929{id}\"\nraft = \"localhost:{}\"\n",
                9091 + id,
                5000 + id
            )
        })
        .collect();
    let later = format!(
        "node_id = 2\ndata_dir = \"./data\"\n[bind]\nkafka = \"127.0.0.1:9093\"\nwal = \"127.0.0.1:9292\"\n\
         raft = \"127.0.0.1:5002\"\n[advertise]\nkafka = \"localhost:9093\"\nraft = \"localhost:5002\"\n{later}"
    );
    let flat = valid(&[], &[], &flat);
    for file in [nested, later] {
        let (settings, findings) = resolve(&[], &[], &file);
        assert_eq!(findings, Findings::default());
        let settings = settings.unwrap();
        assert_eq!(parts(&settings), parts(&flat));
        let members = |settings: &Settings| -> Vec<_> {
            settings.peers.iter().map(|peer| (peer.id, peer.kafka.clone(), peer.raft.clone())).collect()
        };
        assert_eq!(members(&settings), members(&flat));
    }
}

#[test]
fn the_short_list_of_peers_enables_the_cluster_in_both_lengths() {
    let env = [
        ("CHRONIK_NODE_ID", "2"),
        ("CHRONIK_CLUSTER_PEERS", "a:9092:5001, b:9093:9292:5002,[::1]:9094:5003"),
    ];
    let settings = valid(&[], &env, "enabled = false");
    assert_eq!(settings.peers[1].kafka, Some(address("b:9093")));
    assert_eq!(settings.peers[1].raft, address("b:5002"));
    assert_eq!(settings.peers[2].raft, address("[::1]:5003"));
    assert_eq!(parts(&settings), expected("2", "0.0.0.0:9093", "b:9093", "b:5002"));
    let off = valid(&[], &[env[0], env[1], ("CHRONIK_CLUSTER_ENABLED", "false")], "");
    assert!(off.peers.is_empty());
}

#[test]
fn raft_peers_alone_are_a_cluster_and_with_peers_replace_their_addresses() {
    let alone = valid(
        &[],
        &[("CHRONIK_NODE_ID", "1"), ("CHRONIK_RAFT_PEERS", "2@127.0.0.1:5002,3@127.0.0.1:5003")],
        "",
    );
    let ids: Vec<i32> = alone.peers.iter().map(|peer| peer.id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(parts(&alone), expected("1", "127.0.0.1:9092", "127.0.0.1:0", "127.0.0.1:5001"));
    let replaced = valid(&[], &[("CHRONIK_RAFT_PEERS", "2@10.0.0.2:7000")], &node_file(1));
    assert_eq!(replaced.peers[1].raft, address("10.0.0.2:7000"));
    assert_eq!(
        mistakes(&[], &[("CHRONIK_RAFT_PEERS", "9@10.0.0.2:7000")], &node_file(1)),
        ["CHRONIK_RAFT_PEERS: peer 9 is not among the peers; list it there"]
    );
}

#[test]
fn flags_come_before_variables_before_the_file() {
    let env =
        [("CHRONIK_NODE_ID", "2"), ("CHRONIK_DATA_DIR", "/env"), ("CHRONIK_FETCH_FROM_FOLLOWERS", "false")];
    let settings =
        valid(&[("--node-id", "3")], &env, &format!("data_dir = \"/file\"\nrack = \"r1\"\n{}", node_file(1)));
    assert_eq!(settings.node_id, Sourced { value: 3, source: Source::Flag("--node-id") });
    assert_eq!(settings.data_dir.value, PathBuf::from("/env"));
    assert_eq!(settings.rack.unwrap().source, Source::File("node.toml:2".into()));
    assert!(!settings.fetch_from_followers.value);
    assert_eq!(settings.raft.unwrap().value.port, 5003);
}

#[test]
fn listeners_open_to_other_machines_only_when_asked() {
    let listener = |env: &[(&str, &str)]| parts(&valid(&[], env, ""));
    assert_eq!(
        listener(&[("CHRONIK_ADVERTISED_ADDR", "broker.example")]),
        expected("1", "0.0.0.0:9092", "broker.example:0", "")
    );
    assert_eq!(
        listener(&[("CHRONIK_ADVERTISED_ADDR", "[fd00::1]:19092"), ("CHRONIK_KAFKA_PORT", "9000")]),
        expected("1", "0.0.0.0:9000", "fd00::1:19092", "")
    );
    assert_eq!(
        listener(&[("CHRONIK_BIND_ADDR", "10.0.0.1:7000"), ("CHRONIK_ADVERTISED_PORT", "7001")]),
        expected("1", "10.0.0.1:7000", "10.0.0.1:7001", "")
    );
    assert_eq!(listener(&[("CHRONIK_KAFKA_PORT", "0")]), expected("1", "127.0.0.1:0", "127.0.0.1:0", ""));
    assert_eq!(
        mistakes(&[], &[("CHRONIK_BIND_ADDR", "0.0.0.0")], ""),
        ["CHRONIK_BIND_ADDR: a listener on 0.0.0.0:9092 needs an advertised address; \
          set CHRONIK_ADVERTISED_ADDR or --advertise"]
    );
    assert_eq!(
        mistakes(&[], &[("CHRONIK_ADVERTISED_ADDR", "0.0.0.0")], ""),
        ["CHRONIK_ADVERTISED_ADDR: 0.0.0.0 reaches nobody; advertise a host that clients can reach"]
    );
}

#[test]
fn a_node_id_of_0_is_for_single_nodes_only() {
    assert_eq!(valid(&[("--node-id", "0")], &[], "").node_id.value, 0);
    let file = node_file(1).replace("node_id = 1", "node_id = 0").replace("\nid = 1", "\nid = 0");
    assert_eq!(
        mistakes(&[], &[], &file),
        ["node.toml:5: peer id 0 is not allowed in a cluster; number the peers from 1"]
    );
}

#[test]
fn one_peer_is_a_valid_cluster() {
    let settings =
        valid(&[], &[], "node_id = 1\n[[peers]]\nid = 1\naddr = \"localhost:9092\"\nraft_port = 5001\n");
    assert_eq!((settings.peers.len(), settings.replication_factor.value), (1, 1));
}

#[test]
fn every_mistake_has_its_own_line() {
    let file = "node_id = 4\nreplication_factor = 0\ndurability = \"never\"\nsegment_size = \"1XB\"\nshards = 0\n\
                [[peers]]\nid = 1\naddr = \"localhost\"\nraft_port = 5001\n\
                [[peers]]\naddr = \"localhost:9093\"\nraft_port = 70000\n\
                [[peers]]\nid = -3\naddr = \"localhost:9094\"\n\
                [config]\n\"num.partition\" = 3\n";
    let lines = mistakes(&[("--log", "loud=very")], &[("CHRONIK_KAFKA_PORT", "x")], file);
    for expected in [
        "node.toml:8: addr: \"localhost\" has no port; write host:port",
        "node.toml:10: a peer has no id; give each peer its own, from 1",
        "node.toml:12: raft_port: \"70000\" is not a port; a port is a number from 0 to 65535",
        "node.toml:14: id: \"-3\" is not a node id; an id is a number from 0 to 2147483647",
        "node.toml:13: a peer has no Raft address; add raft_port = PORT",
        "node.toml:3: durability: \"never\" is no durability; write fsync or os",
        "node.toml:4: segment_size: \"1XB\" is not a size; write a whole number, with KB, MB or GB behind it if you like",
        "node.toml:5: shards: \"0\" is not a whole number from 1 to 64",
        "node.toml:17: num.partition is no Kafka key",
        "--log: \"loud=very\" is no log filter; write a level (error, warn, info, debug, trace, off) or target=level, \
         with commas between",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\nis not in\n{}", lines.join("\n"));
    }
}

#[test]
fn peers_must_be_unique_and_include_this_node() {
    let twice = node_file(1).replace("id = 3", "id = 2");
    assert_eq!(mistakes(&[], &[], &twice), ["node.toml:13: peer id 2 is used twice; give each peer its own"]);
    let same = node_file(1)
        .replace("raft_port = 5003", "raft_port = 9093")
        .replace("localhost:9093", "127.0.0.1:9093");
    assert_eq!(
        mistakes(&[], &[], &same),
        ["node.toml:13: localhost:9093 is both the Kafka address of peer 2 and the Raft address of peer 3; \
          give each listener its own"]
    );
    assert_eq!(
        mistakes(&[("--node-id", "7")], &[], &node_file(1)),
        ["--node-id: node id 7 is not among the peers (1, 2, 3)"]
    );
    let nameless = node_file(1).replace("node_id = 1\n", "");
    assert_eq!(
        mistakes(&[], &[], &nameless),
        ["this node has no id; set node_id in the file, CHRONIK_NODE_ID or --node-id"]
    );
    assert_eq!(
        mistakes(&[], &[], "enabled = true\n"),
        [
            "node.toml:1: the cluster is enabled but has no peers; list them as [[peers]] or in CHRONIK_CLUSTER_PEERS"
        ]
    );
    assert_eq!(
        mistakes(&[], &[("CHRONIK_CLUSTER_PEERS", "a:9092,b:x:5002")], ""),
        [
            "CHRONIK_CLUSTER_PEERS: peer 1 is \"a:9092\"; write host:kafka:raft",
            "CHRONIK_CLUSTER_PEERS: peer 2: \"x\" is not a port; a port is a number from 0 to 65535",
        ]
    );
}

#[test]
fn own_listeners_must_not_collide() {
    assert_eq!(
        mistakes(&[("--pinned-port", "9092")], &[], &node_file(1)),
        [
            "--pinned-port: the Kafka listener (127.0.0.1:9092) and the pinned listener (127.0.0.1:9092) want the same \
          address; change one of the ports"
        ]
    );
    assert_eq!(
        mistakes(&[("--kafka-port", "5001")], &[], &node_file(1)).len(),
        1,
        "the Kafka port on the own Raft port"
    );
}

#[test]
fn replication_is_a_mistake_in_the_file_and_capped_from_the_environment() {
    let file = node_file(1).replace("replication_factor = 3", "replication_factor = 4");
    assert_eq!(
        mistakes(&[], &[], &file),
        ["node.toml:3: a replication factor of 4 needs as many nodes, and there are 3"]
    );
    let file = node_file(1).replace("replication_factor = 3", "replication_factor = 1");
    assert_eq!(
        mistakes(&[], &[], &file),
        ["node.toml:4: a number of in-sync replicas of 2 needs as many replicas, and there are 1"]
    );
    let (settings, findings) =
        resolve(&[], &[("CHRONIK_REPLICATION_FACTOR", "3"), ("CHRONIK_MIN_INSYNC_REPLICAS", "2")], "");
    let settings = settings.unwrap();
    assert_eq!((settings.replication_factor.value, settings.min_insync_replicas.value), (1, 1));
    assert_eq!(findings.warnings.len(), 2);
    assert_eq!(
        findings.warnings[0].to_string(),
        "CHRONIK_REPLICATION_FACTOR: a replication factor of 3 needs as many nodes, and there are 1; 1 is used"
    );
}

#[test]
fn kafka_names_may_set_the_same_numbers_once() {
    let by_kafka =
        valid(&[("--set", "default.replication.factor=2\nmin.insync.replicas=-1")], &[], &peers_only());
    assert_eq!((by_kafka.replication_factor.value, by_kafka.min_insync_replicas.value), (2, 2));
    assert_eq!(
        mistakes(&[("--set", "min.insync.replicas=1")], &[], &node_file(1)),
        ["--set: min.insync.replicas is 1, but node.toml:4 says 2; keep one"]
    );
}

#[test]
fn other_settings_with_a_kafka_name_take_either() {
    let by_kafka = "log.segment.bytes=1048576\nchronik.fetch.from.followers=false\nchronik.fetch.follower.max.wait.ms=70";
    let settings = valid(&[("--set", by_kafka)], &[], "");
    assert_eq!(settings.segment_bytes, Sourced { value: 1 << 20, source: Source::Flag("--set") });
    assert!(!settings.fetch_from_followers.value);
    assert_eq!(settings.gate_cap_ms.value, 70);
    assert_eq!(
        mistakes(&[("--set", by_kafka)], &[("CHRONIK_FETCH_FROM_FOLLOWERS", "true")], ""),
        [
            "--set: chronik.fetch.from.followers is false, but CHRONIK_FETCH_FROM_FOLLOWERS says true; keep one"
        ]
    );
}

/// The original file without its two numbers.
fn peers_only() -> String {
    node_file(1).replace("replication_factor = 3\nmin_insync_replicas = 2\n", "")
}

#[test]
fn kafka_configuration_is_checked_and_flags_win_over_the_file() {
    let file = "[config]\nnum.partitions = 3\nlog.retention.ms = 1000\nzookeeper.connect = \"x\"\n";
    let (settings, findings) = resolve(&[("--set", "num.partitions=4")], &[], file);
    let config = settings.unwrap().kafka_config;
    assert_eq!(config["num.partitions"], Sourced { value: "4".into(), source: Source::Flag("--set") });
    assert_eq!(config["log.retention.ms"].source, Source::File("node.toml:3".into()));
    assert_eq!(findings.warnings[0].to_string(), "node.toml:4: zookeeper.connect has no effect");
    assert_eq!(
        mistakes(&[("--set", "verbose")], &[], ""),
        ["--set: \"verbose\" has no value; write name=value"]
    );
}

#[test]
fn old_variables_give_notes_and_unknown_ones_warnings() {
    let env = [
        ("CHRONIK_SNAPSHOT_ENABLED", "true"),
        ("CHRONIK_METRICS_PORT", "9093"),
        ("CHRONIK_NODEID", "3"),
        ("PATH", "/bin"),
    ];
    let (settings, findings) = resolve(&[], &env, "");
    assert!(settings.is_some());
    let notes: Vec<&str> = findings.notes.iter().map(|note| note.place.as_str()).collect();
    assert_eq!(notes, ["CHRONIK_METRICS_PORT", "CHRONIK_SNAPSHOT_ENABLED"]);
    let warnings: Vec<String> = findings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["CHRONIK_NODEID: unknown variable is ignored; did you mean CHRONIK_NODE_ID?"]);
}

#[test]
fn sizes_and_modes_from_the_environment() {
    let env =
        [("CHRONIK_WAL_ROTATION_SIZE", "100MB"), ("CHRONIK_DURABILITY", "OS"), ("RUST_LOG", "warn,x=debug")];
    let settings = valid(&[], &env, "");
    assert_eq!(settings.segment_bytes.value, 100 << 20);
    assert_eq!(settings.durability.value, Durability::Os);
    assert_eq!(settings.log_filter.source, Source::Environment("RUST_LOG"));
}

#[test]
fn a_raft_listener_that_peers_cannot_reach_is_a_warning() {
    let file = node_file(1).replace("addr = \"localhost:9093\"", "addr = \"10.0.0.2:9093\"");
    let (settings, findings) = resolve(&[], &[], &file);
    assert!(settings.is_some());
    assert_eq!(findings.warnings.len(), 1);
    assert!(findings.warnings[0].text.contains("where peer 2 (10.0.0.2:5002) cannot reach it"));
}

#[test]
fn a_node_that_joins_needs_an_id_and_addresses_and_no_list_of_peers() {
    let settings = valid(&[("--join", "a:5001, [::1]:5002"), ("--node-id", "4")], &[], "");
    assert_eq!(settings.join.value, [address("a:5001"), address("[::1]:5002")]);
    assert!(settings.peers.is_empty());
    assert_eq!(settings.raft.unwrap().value, address("127.0.0.1:5001"));
    assert_eq!(settings.data_dir.value, PathBuf::from("./data/node-4"), "as in a cluster");
    assert_eq!(settings.replication_factor.value, 3, "the cluster has as many nodes as it has");
    for file in ["join = \"a:5001,b:5001\"\n", "[cluster]\njoin = [\"a:5001\", \"b:5001\"]\n"] {
        assert_eq!(valid(&[("--node-id", "4")], &[], file).join.value.len(), 2, "{file}");
    }
    // A founder on a new disk starts from its own file.
    let again = valid(&[], &[("CHRONIK_JOIN", "localhost:5001")], &node_file(3));
    assert_eq!((again.peers.len(), again.raft_advertised), (3, Some(address("localhost:5003"))));
}

#[test]
fn the_address_that_peers_are_told_can_be_reached() {
    let told = |flags: &[(&'static str, &str)]| valid(flags, &[], "").raft_advertised.unwrap().to_string();
    let join = [("--join", "a:5001"), ("--node-id", "4")];
    assert_eq!(told(&join), "127.0.0.1:5001");
    assert_eq!(told(&[join[0], join[1], ("--raft-addr", "10.0.0.4:7000")]), "10.0.0.4:7000");
    let everywhere = [join[0], join[1], ("--raft-addr", "0.0.0.0:7000"), ("--advertise", "node4:9092")];
    assert_eq!(told(&everywhere), "node4:7000");
    assert_eq!(told(&[("--raft-addr", "10.0.0.1:7000")]), "10.0.0.1:7000", "of a node that begins alone");
    assert_eq!(valid(&[], &[], "").raft_advertised, None);
}

#[test]
fn addresses_to_join_that_reach_nobody_are_mistakes() {
    let said = |join: &str, id: &str| mistakes(&[("--join", join), ("--node-id", id)], &[], "").join("\n");
    assert_eq!(said("a", "4"), "--join: \"a\" has no port; write host:port");
    assert_eq!(
        said("0.0.0.0:5001", "4"),
        "--join: 0.0.0.0:5001 reaches nobody; name the Raft listener of a node"
    );
    assert_eq!(said(",", "4"), "--join: no address; name the Raft listener of a node");
    assert_eq!(
        said("a:5001", "0"),
        "--node-id: node id 0 is not allowed in a cluster; number the nodes from 1"
    );
    let nameless = mistakes(&[("--join", "a:5001")], &[], "");
    assert_eq!(nameless, ["this node has no id; set node_id in the file, CHRONIK_NODE_ID or --node-id"]);
}
