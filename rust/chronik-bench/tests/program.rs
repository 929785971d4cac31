//! The program as `make bench` runs it: it drives a broker it does not know, and its comparisons prove their path.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_chronik-bench"))
}

/// A server that ends with its standard input.
struct Server {
    process: Child,
    _input: ChildStdin,
    address: String,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        let child = program().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = child.expect("the program starts");
        let input = process.stdin.take().expect("standard input was asked for");
        let mut line = String::new();
        let output = process.stdout.take().expect("standard output was asked for");
        BufReader::new(output).read_line(&mut line).expect("the server says that it listens");
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("address="));
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Server { process, _input: input, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

#[test]
fn both_loops_drive_the_null_broker() {
    let server = Server::start(&["null"]);
    for (args, expected) in [
        (
            &["--depth", "4", "--records", "1000", "--value-bytes", "1024", "--requests", "50"][..],
            "closed loop: ",
        ),
        (
            &["--rate", "500", "--requests", "200", "--connections", "2"],
            "open loop: offered 500/s, achieved ",
        ),
    ] {
        let output = program().args(["produce", "--bootstrap", &server.address]).args(args).output();
        let output = output.expect("the program runs");
        assert!(output.status.success() && text(&output).contains(expected), "{}", text(&output));
    }
}

#[test]
fn a_cluster_is_driven_like_any_broker() {
    let server = Server::start(&["serve", "cluster"]);
    let output = program()
        .args(["produce", "--bootstrap", &server.address, "--replication-factor", "3", "--partitions", "3"])
        .args(["--connections", "6", "--requests", "600"])
        .output()
        .expect("the program runs");
    assert!(output.status.success() && text(&output).contains("(600 samples)"), "{}", text(&output));
}

#[test]
fn the_gate_comparison_counts_gate_rounds() {
    // The measurement itself fails unless the gated fetches, and only they, asked the leader.
    let output = program().args(["gate", "--rounds", "1", "--json"]).output().expect("the program runs");
    let report = text(&output);
    assert!(output.status.success() && !report.contains("FAILED"), "{report}");
    assert_eq!(report.matches("the gate at a follower's tail").count(), 2, "{report}");
}

#[test]
fn a_broker_that_is_not_there_is_an_error() {
    let output =
        program().args(["produce", "--bootstrap", "127.0.0.1:1"]).output().expect("the program runs");
    assert!(!output.status.success());
    assert!(text(&output).contains("connecting to 127.0.0.1:1"), "{}", text(&output));
}
