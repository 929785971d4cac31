//! The checker's own corpus: every bad history is accused of exactly the rules that its head names, no good one is
//! accused of anything, and every rule has a bad history of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chronik_history::{History, Rule, check};

/// Least sizes of the two halves.
const BAD_MIN: usize = 40;
const GOOD_MIN: usize = 10;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder of this repository").path())
        .collect();
    files.sort();
    files
}

fn read(file: &Path) -> (String, History) {
    let text = std::fs::read_to_string(file).expect("a file of this repository");
    let history =
        History::read(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    (text, history)
}

/// The rules that the head of a bad history names.
fn expected(file: &Path, text: &str) -> BTreeSet<Rule> {
    let line = text.lines().find_map(|line| line.strip_prefix("# expected: "));
    let names =
        line.unwrap_or_else(|| panic!("{}: its head says nothing of what is expected", file.display()));
    names
        .split(',')
        .map(|name| {
            Rule::from_name(name.trim()).unwrap_or_else(|| panic!("{}: no rule {name:?}", file.display()))
        })
        .collect()
}

#[test]
fn test_every_bad_history_is_accused_of_exactly_its_rules() {
    let mut wrong = Vec::new();
    for file in files("bad") {
        let (text, history) = read(&file);
        let verdict = check(&history);
        let found: BTreeSet<Rule> = verdict.counts.iter().map(|(rule, _)| *rule).collect();
        let expected = expected(&file, &text);
        if found != expected {
            wrong.push(format!("{}: expected {expected:?}, found {found:?}\n{verdict}", file.display()));
        }
        for anomaly in &verdict.anomalies {
            assert!(!anomaly.events.is_empty(), "{}: {anomaly:?} names no event", file.display());
            assert!(anomaly.explanation.contains("Should have been: "), "{}: {anomaly:?}", file.display());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn test_no_good_history_is_accused() {
    let mut wrong = Vec::new();
    for file in files("good") {
        let verdict = check(&read(&file).1);
        if !verdict.is_clean() {
            wrong.push(format!("{}: {verdict}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn test_every_rule_has_a_bad_history_of_its_own() {
    let files = files("bad");
    let alone: BTreeSet<Rule> = files
        .iter()
        .map(|file| expected(file, &read(file).0))
        .filter(|rules| rules.len() == 1)
        .flatten()
        .collect();
    let missing: Vec<Rule> = Rule::ALL.into_iter().filter(|rule| !alone.contains(rule)).collect();
    assert!(missing.is_empty(), "no history in corpus/bad is bad by {missing:?} alone");
    assert!(files.len() >= BAD_MIN, "{} bad histories", files.len());
    assert!(self::files("good").len() >= GOOD_MIN);
}

/// The order of the lines does not matter, only the times do.
#[test]
fn test_the_order_of_lines_does_not_change_the_verdict() {
    for file in files("bad").into_iter().chain(files("good")) {
        let (_, history) = read(&file);
        let mut reversed = history.clone();
        reversed.events.reverse();
        assert_eq!(check(&history).counts, check(&reversed).counts, "{}", file.display());
    }
}

/// Writing and reading again gives the same events.
#[test]
fn test_histories_survive_being_written() {
    for file in files("bad").into_iter().chain(files("good")) {
        let (_, history) = read(&file);
        let mut written = Vec::new();
        history.write(&mut written).unwrap();
        assert_eq!(History::read(&written[..]).unwrap(), history, "{}", file.display());
    }
}
