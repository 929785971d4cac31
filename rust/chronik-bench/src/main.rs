//! The `chronik-bench` program: chooses measurements, prints their report.

use std::process::{Command, ExitCode};

use chronik_bench::drive::{self, ProduceArgs};
use chronik_bench::error::BenchError;
use chronik_bench::machine;
use chronik_bench::report::{Report, Row};
use chronik_bench::scenarios::{
    Placement, Settings, compaction, consumer_group, fsync, gate, groups, idle, kfake, latency, limits,
    peers, startup, throughput, timestamps, transactions,
};
use chronik_bench::serve::{self, ServeArgs};
use clap::{Parser, Subcommand};

/// Raw-protocol measurements of chronik, beside the limits of the machine in the same run.
#[derive(Debug, Parser)]
#[command(name = "chronik-bench", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Choice>,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Exit with 1 if a target was missed in a run without marks
    #[arg(long, global = true)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum Choice {
    /// Everything with a target; what `make bench` runs, and the default
    All,
    /// What the machine gives: loopback, memory, disk, system call
    Limits,
    /// Small produces beside the loopback round trip, in process and over TCP
    Latency,
    /// Produce to long-polling consumer
    E2e,
    /// What the read gate adds at a follower's tail
    Gate,
    /// Cluster start, topic creation, and the mock's start beside it
    Startup,
    /// Large batches: RF 3, RF 1, null broker, TCP
    Throughput,
    /// 64 connections on files with fsync
    Fsync,
    /// The same loads on chronik and on franz-go's fake broker
    Kfake,
    /// 1,000 partitions that nobody uses, and 10,000
    Idle,
    /// A group of 50 members that rebalances, and 1,000 groups
    Groups,
    /// New groups of Python clients: from subscribe to the first message
    Subscribe,
    /// Transactions of one producer
    Transactions,
    /// The speed of compaction, and a producer beside it
    Compaction,
    /// Offsets by timestamp
    Timestamps,
    /// Load on a running broker, whoever's it is
    Produce(ProduceArgs),
    /// The null broker on a port of its own, until standard input ends
    Null,
    /// A server under test, until standard input ends
    Serve(ServeArgs),
}

/// Its name, where it runs unless told otherwise, and what it does.
type Measurement = (&'static str, Placement, fn(&Settings) -> Result<Vec<Row>, BenchError>);

const LIMITS: Measurement = ("limits", Placement::Free, limits::run);
const STARTUP: Measurement = ("startup", Placement::Free, startup::run);
const MOCK: Measurement = ("startup beside the mock", Placement::Free, peers::startup);
const LATENCY: Measurement =
    ("latency", Placement::Separate, |settings| latency::produce_rows(settings, "inproc"));
const LATENCY_TCP: Measurement =
    ("latency over TCP", Placement::Separate, |settings| latency::produce_rows(settings, "tcp"));
const LATENCY_ONE_CORE: Measurement =
    ("latency on one core", Placement::Shared, |settings| latency::produce_rows(settings, "inproc"));
const END_TO_END: Measurement = ("end to end", Placement::Separate, latency::end_to_end_rows);
const GATE: Measurement = ("gate", Placement::Separate, |settings| gate::run(settings, "inproc"));
const GATE_TCP: Measurement = ("gate over TCP", Placement::Separate, |settings| gate::run(settings, "tcp"));
const THROUGHPUT: Measurement = ("throughput", Placement::Free, throughput::run);
const FSYNC: Measurement = ("fsync", Placement::Free, fsync::run);
const IDLE: Measurement = ("idle", Placement::Free, idle::thousand);
const MANY: Measurement = ("many partitions", Placement::Free, idle::ten_thousand);
const GROUPS: Measurement = ("groups", Placement::Free, groups::run);
const CONSUMER_GROUP: Measurement = ("consumer group", Placement::Free, consumer_group::run);
const SUBSCRIBE: Measurement = ("first message", Placement::Free, peers::first_message);
const TRANSACTIONS: Measurement = ("transactions", Placement::Free, transactions::run);
const COMPACTION: Measurement = ("compaction", Placement::Free, compaction::run);
const TIMESTAMPS: Measurement = ("timestamps", Placement::Free, timestamps::run);
const KFAKE: Measurement = ("kfake", Placement::Free, kfake::run);
const WHEEL: Measurement = ("wheel", Placement::Free, |_| Ok(vec![peers::wheel()]));

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match run(line) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chronik-bench: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(line: CommandLine) -> Result<ExitCode, BenchError> {
    let measurements: &[Measurement] = match line.command.unwrap_or(Choice::All) {
        Choice::Serve(args) => return serve::run(args).map(|()| ExitCode::SUCCESS),
        Choice::Null => {
            let args = ServeArgs { kind: serve::Kind::Null, core: None };
            return serve::run(args).map(|()| ExitCode::SUCCESS);
        }
        Choice::Produce(args) => {
            line.settings.place_generator()?;
            println!("{}", drive::produce(&args)?);
            return Ok(ExitCode::SUCCESS);
        }
        Choice::All => &[
            LIMITS,
            STARTUP,
            MOCK,
            LATENCY,
            LATENCY_ONE_CORE,
            LATENCY_TCP,
            END_TO_END,
            GATE,
            GATE_TCP,
            THROUGHPUT,
            FSYNC,
            KFAKE,
            SUBSCRIBE,
            GROUPS,
            CONSUMER_GROUP,
            TRANSACTIONS,
            COMPACTION,
            TIMESTAMPS,
            IDLE,
            MANY,
            WHEEL,
        ],
        Choice::Limits => &[LIMITS],
        Choice::Latency => &[LATENCY, LATENCY_ONE_CORE, LATENCY_TCP],
        Choice::E2e => &[END_TO_END],
        Choice::Gate => &[GATE, GATE_TCP],
        Choice::Startup => &[STARTUP, MOCK],
        Choice::Throughput => &[THROUGHPUT],
        Choice::Fsync => &[FSYNC],
        Choice::Kfake => &[KFAKE],
        Choice::Idle => &[IDLE, MANY],
        Choice::Groups => &[GROUPS, CONSUMER_GROUP],
        Choice::Subscribe => &[SUBSCRIBE],
        Choice::Transactions => &[TRANSACTIONS],
        Choice::Compaction => &[COMPACTION],
        Choice::Timestamps => &[TIMESTAMPS],
    };
    let mut report = Report { circumstances: circumstances(&line.settings), rows: Vec::new() };
    for (name, placement, measure) in measurements {
        eprintln!("measuring {name} ...");
        let placement = Some(line.settings.placement.unwrap_or(*placement));
        let settings = Settings { placement, ..line.settings.clone() };
        settings.place_generator()?;
        match measure(&settings) {
            Ok(rows) => report.rows.extend(rows),
            // One failed measurement must not hide the others, and must not look like a success either.
            Err(error) => {
                let mut row = Row::skipped(name, "", &format!("FAILED: {}", with_causes(&error)));
                row.verdict = chronik_bench::report::Verdict::Missed;
                report.rows.push(row);
            }
        }
    }
    print!("{}", if line.json { report.json() } else { report.table() });
    Ok(if line.strict && report.missed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a reader needs to judge the numbers.
fn circumstances(settings: &Settings) -> Vec<(String, String)> {
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit
        .map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let build = if cfg!(debug_assertions) { "debug build: numbers mean nothing" } else { "release" };
    let line: Vec<String> = std::env::args().collect();
    [
        ("machine", format!("{} cores, {}", machine::machine_cores(), machine::cpu_model())),
        ("build", format!("{build}, version {}, commit {commit}", env!("CARGO_PKG_VERSION"))),
        ("run", format!("{} ({} rounds)", line.join(" "), settings.rounds)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn with_causes(error: &BenchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
