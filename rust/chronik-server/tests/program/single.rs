//! A node without peers: ports of the system's choice, one data directory per process, SIGINT.

use std::net::SocketAddr;
use std::process::Stdio;

use crate::common::{Client, alarms, is_empty_or_missing, server, signal, wait_for};

/// A node with ports of the system's choice, its standard error in a file.
struct Node {
    process: std::process::Child,
    log: std::path::PathBuf,
}

impl Node {
    fn start(directory: &std::path::Path, args: &[&str]) -> Node {
        let log = directory.join("log");
        let file = std::fs::File::create(&log).expect("a log");
        let process = server()
            .args(["--kafka-port", "0", "--pinned-port", "0", "--data-dir"])
            .arg(directory.join("data"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(file)
            .spawn();
        Node { process: process.expect("the server starts"), log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The address behind a word of the line that says where the node listens.
    fn address(&self, word: &str) -> SocketAddr {
        wait_for("the node says where it listens", || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(" listens: "))?.to_owned();
            let after = line.split(&format!("{word} ")).nth(1)?.to_owned();
            after.split([',', ' ']).next()?.parse().ok()
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_single_node_serves_on_both_listeners_and_ends_with_0_on_sigint() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = Node::start(directory.path(), &[]);
    let (kafka, pinned) = (node.address("Kafka as"), node.address("pinned on"));
    wait_for("the node is ready", || node.log().contains("node 1 is ready").then_some(()));
    let mut client = Client::connect(kafka);
    client.create_topic("single", -1);
    assert_eq!(client.produce("single", "one"), Ok(0));
    assert_eq!(Client::connect(pinned).read_all("single"), Ok(vec!["one".to_owned()]));
    assert!(!is_empty_or_missing(&directory.path().join("data")));
    signal(&node.process, "INT");
    let status = wait_for("the node stops", || node.process.try_wait().expect("the node can be waited for"));
    assert!(status.success(), "{status}\n{}", node.log());
    assert_eq!(alarms(&node.log()), Vec::<&str>::new());
}

#[test]
fn a_second_node_on_the_same_data_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = Node::start(directory.path(), &[]);
    first.address("Kafka as");
    let second = server()
        .args(["--kafka-port", "0", "--data-dir"])
        .arg(directory.path().join("data"))
        .output()
        .expect("the server runs");
    assert_eq!(second.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&second.stderr);
    assert!(errors.contains("the node did not start: "), "{errors}");
}

#[test]
fn a_port_in_use_is_one_clear_line_and_exit_code_1() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = holder.local_addr().expect("its address").port().to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let output = server()
        .args(["--kafka-port", &port, "--data-dir"])
        .arg(directory.path())
        .output()
        .expect("the server runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let lines: Vec<&str> = errors.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert!(matches!(lines.as_slice(), [line] if line.contains(&port)), "{errors}");
}

#[test]
fn wrong_kafka_configuration_is_refused_before_anything_is_bound() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let output = server()
        .args(["--kafka-port", "0", "--set", "num.partitions=none", "--set", "num.partition=3", "--data-dir"])
        .arg(&data)
        .output()
        .expect("the server runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert_eq!(errors.lines().filter(|line| line.starts_with("--set: ")).count(), 2, "{errors}");
    assert!(is_empty_or_missing(&data));
}
