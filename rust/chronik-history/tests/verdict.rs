//! The verdict and the program that prints it: what is kept, what is said, how the program exits.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chronik_history::limits::ANOMALIES_KEPT_PER_RULE;
use chronik_history::{
    Call, Event, History, ListArgs, ListResult, Operation, Rule, SendArgs, SendResult, Status, check,
};

fn answered(at_ns: u64, operation: Operation) -> Event {
    let mut event = Event::invoked(at_ns, "client", "t/0", operation);
    (event.returned_ns, event.status) = (Some(at_ns + 1), Status::Ok);
    event
}

/// One acknowledged record, and questions for the end that are answered by 0.
fn stale(questions: usize) -> History {
    let mut history = History::default();
    let args = SendArgs { values: vec!["a".into()], ..SendArgs::default() };
    history.push(answered(1, Operation::Send(Call { args, result: Some(SendResult { offset: Some(0) }) })));
    for question in 0..questions {
        let args = ListArgs { timestamp: -1, ..ListArgs::default() };
        let list = Operation::List(Call { args, result: Some(ListResult { offset: 0 }) });
        history.push(answered(10 + 10 * question as u64, list));
    }
    history
}

#[test]
fn test_anomalies_are_kept_up_to_the_limit_and_counted_beyond() {
    let at_limit = check(&stale(ANOMALIES_KEPT_PER_RULE));
    assert_eq!(at_limit.anomalies.len(), ANOMALIES_KEPT_PER_RULE);
    assert!(!at_limit.to_string().contains("are shown"));
    let beyond = check(&stale(ANOMALIES_KEPT_PER_RULE + 1));
    assert_eq!(beyond.anomalies.len(), ANOMALIES_KEPT_PER_RULE);
    assert_eq!(beyond.count(Rule::StaleRead), ANOMALIES_KEPT_PER_RULE as u64 + 1);
    assert!(beyond.to_string().contains("the first 20 are shown"), "{beyond}");
}

#[test]
fn test_the_text_names_rule_events_and_what_should_have_been() {
    let text = check(&stale(1)).to_string();
    for part in [
        "1 anomaly in 2 events",
        "stale-read, 1 time:",
        "The HW is said to be 0; 1 had been proved before the question.",
        "#0 0.000000 s to 0.000000 s, client: send [\"a\"] on t/0 -> offset 0",
        "#1 0.000000 s to 0.000000 s, client: latest offset on t/0 -> offset 0",
        "Should have been: HW 1 or more, or an error that lets the client ask again.",
        "no final phase",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

#[test]
fn test_every_rule_is_found_by_its_name() {
    for rule in Rule::ALL {
        assert_eq!(Rule::from_name(rule.name()), Some(rule));
        assert!(!rule.meaning().is_empty());
    }
    assert_eq!(Rule::from_name("rumour"), None);
}

fn program(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronik-history"));
    command.arg("check").args(arguments).output().expect("the program was built with this test")
}

#[test]
fn test_the_program_exits_with_the_worst_of_its_files() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let good = corpus.join("good/redirect-hint.jsonl");
    let bad = corpus.join("bad/false-empty-follower.jsonl");
    let missing = PathBuf::from("no-such-history.jsonl");
    let clean = program(&[&good]);
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    assert!(String::from_utf8_lossy(&clean.stdout).contains("no anomaly in"));
    let accused = program(&[&bad, &good]);
    assert_eq!(accused.status.code(), Some(1), "{accused:?}");
    assert!(String::from_utf8_lossy(&accused.stdout).contains("false-empty, 1 time"));
    let unread = program(&[&missing, &bad]);
    assert_eq!(unread.status.code(), Some(2), "{unread:?}");
    assert!(String::from_utf8_lossy(&unread.stderr).contains("no-such-history.jsonl"));
}
