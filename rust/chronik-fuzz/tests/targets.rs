//! Every target on stable Rust: its seeds, the inputs kept in `corpus/`, both damaged at random, and random bytes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chronik_fuzz::{TARGETS, Target, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Inputs kept for a target, by the names of their files.
fn kept(target: &Target) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let Ok(files) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

/// One way to spoil an input.
#[derive(Clone, Debug)]
enum Damage {
    Set { at: u16, byte: u8 },
    Number { at: u16, number: u32 },
    Insert { at: u16, bytes: Vec<u8> },
    Remove { at: u16, count: u8 },
    Repeat { at: u16, count: u8 },
    Cut { at: u16 },
}

fn damage() -> impl Strategy<Value = Damage> {
    let number = prop_oneof![
        prop::sample::select(vec![
            0,
            1,
            0x7f,
            0xff,
            0xffff,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX,
            u32::MAX - 1
        ]),
        any::<u32>(),
    ];
    prop_oneof![
        4 => (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set { at, byte }),
        2 => (any::<u16>(), number).prop_map(|(at, number)| Damage::Number { at, number }),
        2 => (any::<u16>(), prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        1 => (any::<u16>(), 1..32_u8).prop_map(|(at, count)| Damage::Remove { at, count }),
        1 => (any::<u16>(), 1..32_u8).prop_map(|(at, count)| Damage::Repeat { at, count }),
        1 => any::<u16>().prop_map(|at| Damage::Cut { at }),
    ]
}

fn spoil(input: &mut Vec<u8>, damage: &Damage) {
    let place = |at: u16, length: usize| usize::from(at) % (length + 1);
    match damage {
        Damage::Set { at, byte } => {
            let at = place(*at, input.len());
            if let Some(target) = input.get_mut(at) {
                *target = *byte;
            }
        }
        Damage::Number { at, number } => {
            let at = place(*at, input.len());
            for (target, byte) in input[at..].iter_mut().zip(number.to_be_bytes()) {
                *target = byte;
            }
        }
        Damage::Insert { at, bytes } => {
            let at = place(*at, input.len());
            input.splice(at..at, bytes.iter().copied());
        }
        Damage::Remove { at, count } => {
            let at = place(*at, input.len());
            let end = input.len().min(at + usize::from(*count));
            input.drain(at..end);
        }
        Damage::Repeat { at, count } => {
            let at = place(*at, input.len());
            let end = input.len().min(at + usize::from(*count));
            let repeated = input[at..end].to_vec();
            input.splice(at..at, repeated);
        }
        Damage::Cut { at } => input.truncate(place(*at, input.len())),
    }
}

/// Runs a target on all it has been given, then on `cases` inputs made from that and on as many random ones.
fn exercise(name: &str, cases: u32) {
    let target = chronik_fuzz::find(name).unwrap();
    let mut known: Vec<Vec<u8>> = (target.seeds)();
    let mut accepted = 0;
    for seed in &known {
        accepted += u32::from((target.run)(seed) == Verdict::Accepted);
    }
    assert!(accepted > 0, "no seed of {name} gets past the door");
    for (file, input) in kept(target) {
        println!("{file}");
        (target.run)(&input);
        known.push(input);
    }
    let defaults = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { defaults.cases } else { cases };
    let config = || Config { cases, failure_persistence: None, ..Config::default() };
    let damaged = (prop::sample::select(known), prop::collection::vec(damage(), 1..6));
    let run = |input: &[u8]| {
        (target.run)(input);
        Ok(())
    };
    let spoiled = TestRunner::new(config()).run(&damaged, |(mut input, damages)| {
        damages.iter().for_each(|damage| spoil(&mut input, damage));
        run(&input)
    });
    spoiled.unwrap();
    let random = prop::collection::vec(any::<u8>(), 0..400);
    TestRunner::new(config()).run(&random, |input| run(&input)).unwrap();
}

macro_rules! tests {
    ($($name:ident: $cases:literal,)*) => {
        $(#[test]
        fn $name() {
            exercise(stringify!($name), $cases);
        })*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

// Cases are chosen so that none of them takes more than a few seconds without optimisation; PROPTEST_CASES and another
// PROPTEST_RNG_SEED look for more.
tests! {
    batches: 1_000,
    bodies: 2_000,
    broker: 400,
    codecs: 1_000,
    compaction: 500,
    configuration: 500,
    connections: 500,
    controller: 1_000,
    flexible: 1_000,
    groups: 1_000,
    history: 1_000,
    log_recovery: 1_000,
    partition: 300,
    peers: 4_000,
    requests: 2_000,
    samples: 500,
    shares: 1_000,
    snapshots: 1_000,
    transactions: 1_000,
}

#[test]
fn every_target_is_tested_fuzzed_and_every_kept_input_has_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(TESTED.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), names);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = |dir: &str| -> BTreeSet<String> {
        let Ok(files) = fs::read_dir(here.join(dir)) else { return BTreeSet::new() };
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("fuzz/fuzz_targets"), names);
    assert!(listed("corpus").is_subset(&names), "{:?}", listed("corpus"));
}
