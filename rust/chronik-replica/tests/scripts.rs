//! What happens when: the stories of `tests/scripts`, each command with its golden trace.
#![allow(clippy::unwrap_used, reason = "test code")]

mod harness;
mod script;

use std::path::{Path, PathBuf};

use chronik_replica::GateMode;
use script::{Script, Variant};

/// Scripts whose stories are about the read gate: without it they end differently.
const ABOUT_THE_GATE: [&str; 7] = [
    "append_and_follower_read",
    "cut_off_leader_is_asked",
    "new_leader_is_asked_before_its_own_commit",
    "duplicated_barrier_answer",
    "context_is_never_reused",
    "thousand_readers_share_two_rounds",
    "sleep_and_wake",
];

fn scripts() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

fn name_of(path: &Path) -> &str {
    path.file_stem().and_then(|name| name.to_str()).unwrap()
}

fn is_update() -> bool {
    std::env::var_os("UPDATE_SCRIPTS").is_some()
}

#[test]
fn every_script_leaves_its_trace() {
    let mut differences = Vec::new();
    for path in scripts() {
        let script = Script::read(&path);
        let played = script.play(Variant::default());
        assert_eq!(played, script.play(Variant::default()), "{} is not deterministic", path.display());
        if is_update() {
            std::fs::write(&path, played.write()).unwrap();
        } else {
            differences.extend(script.difference(name_of(&path), &played));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn without_the_gate_its_stories_end_differently() {
    if is_update() {
        // The files are being written.
        return;
    }
    let paths = scripts();
    for name in ABOUT_THE_GATE {
        let path =
            paths.iter().find(|path| name_of(path) == name).unwrap_or_else(|| panic!("no script {name}"));
        let played = |gate| Script::read(path).play(Variant { gate });
        let difference = played(GateMode::On).difference(name, &played(GateMode::Off));
        assert!(difference.is_some(), "{name} does not notice that the gate is off");
    }
}

/// With its bug planted each of these stories ends differently.
#[cfg(feature = "mutants")]
#[test]
fn the_stories_kill_their_bugs() {
    use chronik_mutants::Mutant;
    use harness::killed;

    for mutant in [
        Mutant::FollowerUngated,
        Mutant::LeaderUngated,
        Mutant::ApplyNotAwaited,
        Mutant::ContextReused,
        Mutant::AnswerToAnyRound,
        Mutant::RoundInFlightJoined,
        Mutant::OwnTermNotAwaited,
        Mutant::AckBeforeQuorum,
        Mutant::AckBeforeSync,
        Mutant::OpenFateCalledFailed,
    ] {
        killed(mutant, every_script_leaves_its_trace);
    }
}
