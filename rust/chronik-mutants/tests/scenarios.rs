//! A bug that schedules need not meet has a directed scenario that must notice it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chronik_mutants::Mutant;

/// The tests that plant bugs under directed scenarios; `make mutants` runs those of this name.
const KILLING: &str = "fn the_scenarios_above_kill_their_bugs()";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The variants that a killing test of this file names.
fn killed_in(text: &str) -> impl Iterator<Item = &str> {
    let killing = text.split_once(KILLING).map_or("", |(_, killing)| killing);
    killing
        .split("Mutant::")
        .skip(1)
        .map(|rest| rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default())
}

#[test]
fn every_bug_left_to_scenarios_has_one_that_kills_it() {
    let mut files = Vec::new();
    let rooms = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for room in std::fs::read_dir(rooms).unwrap() {
        let room = room.unwrap().path();
        // This file quotes the name of the killing tests.
        if room.is_dir() && !room.ends_with("chronik-mutants") {
            ["src", "tests"].iter().map(|part| room.join(part)).filter(|part| part.is_dir()).for_each(
                |part| {
                    sources(&part, &mut files);
                },
            );
        }
    }
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let killed: BTreeSet<&str> = texts.iter().flat_map(|text| killed_in(text)).collect();
    assert!(killed.len() > 20, "the killing tests are found: {killed:?}");
    let missing: Vec<&Mutant> = Mutant::ALL
        .iter()
        .filter(|mutant| mutant.is_for_scenarios() && !killed.contains(&*format!("{mutant:?}")))
        .collect();
    assert!(missing.is_empty(), "no scenario kills {missing:?}");
}
