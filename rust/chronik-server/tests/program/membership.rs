//! Processes that join a running cluster and leave it for good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::common::{Client, Cluster, FreePort, alarms, server, signal, wait_for};

const TOPIC: &str = "moving";

/// Produces at whoever leads, as long as it takes, a value that is not there yet.
fn produce(cluster: &Cluster, ask: i32, written: &mut Vec<String>) {
    let value = format!("record {}", written.len());
    wait_for(&format!("an acknowledgement of {value:?}"), || {
        let leader = Client::try_connect(cluster.address(ask))?.leader(TOPIC)?;
        Client::try_connect(cluster.address(leader))?.produce(TOPIC, &value).ok()
    });
    written.push(value);
}

/// Has the topic live on these nodes, and waits until it does.
fn move_to(cluster: &Cluster, ask: i32, replicas: &[i32]) {
    Client::connect(cluster.address(ask)).reassign(TOPIC, replicas);
    wait_for("the replicas to arrive", || {
        (Client::try_connect(cluster.address(ask))?.replicas(TOPIC) == replicas).then_some(())
    });
}

/// Every acknowledged value, in order; one whose acknowledgement was lost may stand twice.
fn read_at(cluster: &Cluster, id: i32, written: &[String]) {
    wait_for(&format!("a whole read at node {id}"), || {
        let mut read = Client::try_connect(cluster.address(id))?.read_all(TOPIC).ok()?;
        read.dedup();
        assert_eq!(read, written, "node {id}");
        Some(())
    });
}

/// Runs `chronik-server remove` and returns what it said if it failed.
fn remove(node: i32, at: &str) -> Result<(), String> {
    let output = server()
        .args(["remove", "--node-id", &node.to_string(), "--join", at])
        .output()
        .expect("the program runs");
    match output.status.code() {
        Some(0) => Ok(()),
        code => Err(format!("{code:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

#[test]
fn a_process_joins_takes_over_and_another_one_leaves_for_good() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole(3);
    Client::connect(cluster.address(1)).create_topic(TOPIC, 3);
    let mut written = Vec::new();
    produce(&cluster, 1, &mut written);
    cluster.join(4, 2);
    cluster.wait_until_whole(4);
    produce(&cluster, 4, &mut written);
    // It holds a replica, leads it, and finds its way back when it dies.
    move_to(&cluster, 1, &[4, 2, 3]);
    produce(&cluster, 4, &mut written);
    cluster.kill(4);
    produce(&cluster, 2, &mut written);
    cluster.start_node(4);
    cluster.wait_until_whole(4);
    produce(&cluster, 4, &mut written);
    // A founder leaves: by way of any node, its own address included, which knows the others.
    let own = cluster.raft_address(2);
    assert_eq!(remove(2, &own), Ok(()));
    let ended = cluster.wait_for_end(2);
    assert!(ended.success(), "{ended}\n{}", cluster.log(2));
    assert!(cluster.log(2).contains("the cluster has removed this node"), "{}", cluster.log(2));
    cluster.wait_until_whole(3);
    let mut replicas = Client::connect(cluster.address(1)).replicas(TOPIC);
    replicas.sort_unstable();
    assert_eq!(replicas, [1, 3, 4], "its replica has moved");
    for id in [1, 3, 4] {
        produce(&cluster, id, &mut written);
        let log = cluster.log(id);
        assert!(log.contains("the peer does not belong to the cluster any more"), "node {id}\n{log}");
        assert!(!log.contains(" ERROR "), "node {id}\n{log}");
    }
    // All processes die. Those that are left know each other, whatever their files say.
    for id in [1, 3, 4] {
        cluster.kill(id);
    }
    for id in [1, 3, 4] {
        cluster.start_node(id);
    }
    cluster.wait_until_whole(3);
    produce(&cluster, 1, &mut written);
    for id in [1, 3, 4] {
        read_at(&cluster, id, &written);
    }
    // What is gone is gone, and its id may be taken by somebody else.
    let refused = remove(2, &cluster.raft_address(1)).expect_err("it is not there");
    assert!(refused.contains("broker 2 is not registered"), "{refused}");
    fs::remove_dir_all(cluster.path("data2")).expect("a data directory");
    cluster.join(2, 4);
    cluster.wait_until_whole(4);
    move_to(&cluster, 1, &[2, 3, 4]);
    produce(&cluster, 2, &mut written);
    read_at(&cluster, 2, &written);
}

#[test]
fn a_process_that_lost_its_disk_joins_again_and_votes() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole(3);
    Client::connect(cluster.address(1)).create_topic(TOPIC, 3);
    let mut written = Vec::new();
    produce(&cluster, 1, &mut written);
    cluster.kill(3);
    produce(&cluster, 1, &mut written);
    fs::remove_dir_all(cluster.path("data3")).expect("a data directory");
    let at = cluster.raft_address(1);
    cluster.start_node_with(3, &["--join", &at]);
    cluster.wait_until_whole(3);
    read_at(&cluster, 3, &written);
    // It has its votes back when, without another node, it makes a majority.
    wait_for("the disk to be counted on", || {
        let log = cluster.log(3);
        let promoted = |line: &&str| line.contains("Promote(MemberId { node: NodeId(3)");
        // In the metadata group and in that of the topic.
        (log.lines().filter(promoted).count() == 2).then_some(())
    });
    cluster.kill(1);
    produce(&cluster, 2, &mut written);
    read_at(&cluster, 3, &written);
    assert!(!cluster.log(3).contains(" ERROR "), "{}", cluster.log(3));
}

#[test]
fn a_single_process_with_a_raft_listener_grows_into_a_cluster() {
    let directory = tempfile::tempdir().expect("a directory");
    let ports: Vec<(FreePort, FreePort)> = (0..3).map(|_| (FreePort::new(), FreePort::new())).collect();
    let raft = |place: usize| format!("127.0.0.1:{}", ports[place].1.number());
    let kafka = |place: usize| std::net::SocketAddr::from(([127, 0, 0, 1], ports[place].0.number()));
    let mut nodes: Vec<Process> = (0..3)
        .map(|place| {
            let mut arguments = vec!["--node-id".to_owned(), (place + 1).to_string()];
            arguments.extend([
                "--raft-addr".to_owned(),
                raft(place),
                "--bind".to_owned(),
                kafka(place).to_string(),
            ]);
            if place > 0 {
                arguments.extend(["--join".to_owned(), raft(place - 1)]);
            }
            Process::start(directory.path(), &format!("node{}", place + 1), &arguments)
        })
        .collect();
    let whole = |place: usize| {
        wait_for("three nodes", || {
            let replicas = Client::try_connect(kafka(place))?.brokers()?;
            (replicas == [1, 2, 3]).then_some(())
        });
    };
    (0..3).for_each(whole);
    Client::connect(kafka(2)).create_topic(TOPIC, 3);
    let leader = wait_for("a leader", || Client::try_connect(kafka(0))?.leader(TOPIC));
    let leader = leader as usize - 1;
    wait_for("a produce", || Client::try_connect(kafka(leader))?.produce(TOPIC, "one").ok());
    for place in 0..3 {
        let read = wait_for("a read", || Client::try_connect(kafka(place))?.read_all(TOPIC).ok());
        assert_eq!(read, ["one"]);
    }
    for node in &mut nodes {
        signal(&node.child, "TERM");
        let status = wait_for("the node stops", || node.child.try_wait().expect("it can be waited for"));
        assert!(status.success(), "{status}\n{}", node.log());
        assert_eq!(alarms(&node.log()), Vec::<&str>::new(), "{}", node.log());
    }
}

#[test]
fn a_process_with_the_id_of_another_one_is_not_taken_in() {
    let cluster = Cluster::start(3);
    cluster.wait_until_whole(3);
    let directory = tempfile::tempdir().expect("a directory");
    let raft = FreePort::new();
    let arguments = ["--node-id", "2", "--kafka-port", "0", "--join"].map(str::to_owned);
    let addresses =
        [cluster.raft_address(1), "--raft-addr".to_owned(), format!("127.0.0.1:{}", raft.number())];
    let second = Process::start(directory.path(), "second", &[&arguments[..], &addresses].concat());
    // By the number of the address and not by its name, as the process that asks would have to call it.
    let refusal =
        format!("node 2 runs already, at {}", cluster.raft_address(2).replace("localhost", "127.0.0.1"));
    wait_for("the refusal", || second.log().contains(&refusal).then_some(()));
    assert!(!second.log().contains("listens"), "{}", second.log());
    assert!(!cluster.log(1).contains("a node that is not known yet calls"), "{}", cluster.log(1));
}

/// A server that is configured by its arguments and ends with the test.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(directory: &Path, name: &str, arguments: &[String]) -> Process {
        let log = directory.join(format!("{name}.log"));
        let child = server()
            .args(arguments)
            .arg("--data-dir")
            .arg(directory.join(name))
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn();
        Process { child: child.expect("the server starts"), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- {}\n{}", self.log.display(), self.log());
        }
    }
}
