//! The program's answers to configurations, as a user sees them: output and exit code. Nothing is bound here.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::common::server;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn outcome(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

#[test]
fn the_example_files_are_valid_and_the_table_says_what_came_from_where() {
    for id in 1..=3 {
        let file = example(&format!("node{id}.toml"));
        let output =
            server().args(["--check", "--config"]).arg(&file).env("CHRONIK_DATA_DIR", "/nowhere").output();
        let (code, table, errors) = outcome(&output.unwrap());
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let line = |name: &str| -> Vec<String> {
            let line = table
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name}\n{table}"));
            line.split("  ").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        assert_eq!(line("node_id")[1..], [id.to_string(), format!("{}:2", file.display())]);
        assert_eq!(line("advertised")[1..], [format!("localhost:{}", 9091 + id), "own peer entry".into()]);
        assert_eq!(line("raft listener")[1], format!("127.0.0.1:{}", 5000 + id));
        assert_eq!(line("data_dir")[1..], ["/nowhere", "CHRONIK_DATA_DIR"]);
        assert_eq!(line("durability")[1..], ["fsync", "default"]);
    }
}

#[test]
fn standalone_takes_its_file_from_the_environment_and_the_flag_wins_over_its_node_id() {
    let output = server()
        .args(["standalone", "--check", "--node-id", "3"])
        .env("CHRONIK_CLUSTER_CONFIG", example("node1.toml"))
        .output();
    let (code, table, errors) = outcome(&output.unwrap());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(table.contains("localhost:9094"), "{table}");
}

#[test]
fn every_mistake_is_one_line_and_the_exit_code_is_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.toml");
    std::fs::write(&file, "node_id = 9\nreplication_factor = \"many\"\ndurability = \"maybe\"\n").unwrap();
    let output = server().arg("--config").arg(&file).args(["--kafka-port", "99999"]).output();
    let (code, table, errors) = outcome(&output.unwrap());
    let name = file.display();
    assert_eq!((code, table.as_str()), (Some(2), ""));
    let mut lines: Vec<&str> = errors.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "--kafka-port: \"99999\" is not a port; a port is a number from 0 to 65535".to_owned(),
            format!("{name}:2: replication_factor: \"many\" is not a whole number from 1 to 32767"),
            format!("{name}:3: durability: \"maybe\" is no durability; write fsync or os"),
        ]
    );
}

#[test]
fn a_missing_file_names_who_asked_for_it() {
    let output = server().arg("standalone").env("CHRONIK_CLUSTER_CONFIG", "/nowhere/node.toml").output();
    let (code, _, errors) = outcome(&output.unwrap());
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with("chronik-server: cannot read /nowhere/node.toml (from CHRONIK_CLUSTER_CONFIG): ")
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (code, help, _) = outcome(&server().arg("--help").output().unwrap());
    assert_eq!(code, Some(0));
    assert!(help.contains("CHRONIK_CLUSTER_CONFIG") && help.contains("--node-id"));
    let (code, version, _) = outcome(&server().arg("--version").output().unwrap());
    assert_eq!((code, version.trim()), (Some(0), concat!("chronik-server ", env!("CARGO_PKG_VERSION"))));
    assert_eq!(outcome(&server().arg("--nonsense").output().unwrap()).0, Some(2));
}
