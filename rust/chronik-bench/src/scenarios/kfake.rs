//! The same loads on chronik and on kfake, franz-go's fake broker: the strongest peer for tests.
//!
//! kfake keeps one copy in the process and calls it what the client asks for; chronik replicates to three nodes. Needs
//! Go and, for the first build, the Go module proxy; without them the rows are skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::throughput::{BATCHES_PER_ROUND, round};
use super::{Settings, latency, median, ratios, show_ratio};
use crate::child::Server;
use crate::client::Client;
use crate::error::BenchError;
use crate::latencies::Latencies;
use crate::machine::{CpuClock, CpuUse};
use crate::paced;
use crate::pump::{Lane, Outcome, closed_loop};
use crate::report::{Row, Verdict};
use crate::requests::{ProduceFrame, batch};
use crate::topics;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/kfake");
const WHAT: &str = "chronik beside kfake";
const REQUESTS_PER_ROUND: u64 = 3_000;
const CONNECTIONS: usize = 64;
const MANY_REQUESTS_PER_ROUND: u64 = 30_000;

/// One broker and a topic of one partition on it.
struct Side {
    server: Server,
    client: Client,
    frame: ProduceFrame,
    leader: String,
}

impl Side {
    fn new(server: Server, replication_factor: i16) -> Result<Side, BenchError> {
        let mut admin = Client::connect(server.address()?)?;
        let leader = topics::create(&mut admin, "peer", 1, replication_factor, &[])?.leader(0)?.to_owned();
        let client = Client::connect(&leader)?;
        let frame = ProduceFrame::new(&client, "peer", 0, -1, &batch(1, 100)?)?;
        let mut side = Side { server, client, frame, leader };
        side.one_connection()?;
        Ok(side)
    }

    fn one_connection(&mut self) -> Result<Latencies, BenchError> {
        let frame = &self.frame;
        paced::closed_loop(&mut self.client, REQUESTS_PER_ROUND, |client| latency::produce(client, frame))
    }

    fn many_connections(&self) -> Result<(Outcome, CpuUse), BenchError> {
        let lane = Lane { address: self.leader.clone(), frame: self.frame.clone() };
        let clock = CpuClock::read(Some(self.server.pid()));
        let outcome = closed_loop(vec![lane; CONNECTIONS], 1, MANY_REQUESTS_PER_ROUND)?;
        Ok((outcome, clock.used()))
    }
}

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let program = match build(&settings.data_dir) {
        Ok(program) => program,
        Err(why) => return Ok(vec![Row::skipped(WHAT, "", &why)]),
    };
    let mut own = Side::new(settings.serve(&["cluster"])?, 3)?;
    let mut peer = Side::new(Server::launch(Command::new(program), "starting kfake")?, 1)?;
    let (mut single, mut many, mut large, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..settings.rounds {
        single.push((own.one_connection()?.p50_us(), peer.one_connection()?.p50_us()));
        let (own_many, own_cpu) = own.many_connections()?;
        cpu.push(own_cpu);
        many.push((own_many.acks_per_s(), peer.many_connections()?.0.acks_per_s()));
        let large_batches = |side: &Side| round(&side.server, number, 1, BATCHES_PER_ROUND);
        large.push((large_batches(&own)?.mb_per_s, large_batches(&peer)?.mb_per_s));
    }
    let cpu = CpuUse::mean(&cpu);
    let row = |what: &str,
               unit: &str,
               pairs: &[(f64, f64)],
               target: &str,
               reached: fn(f64) -> bool|
     -> Result<Row, BenchError> {
        let ratio = ratios(pairs.iter().copied())?;
        Ok(Row {
            what: what.to_owned(),
            reached: format!("{:.1} {unit}", median(pairs.iter().map(|(own, _)| *own))?),
            limit: format!("kfake {:.1} {unit}", median(pairs.iter().map(|(_, peer)| *peer))?),
            ratio: show_ratio(ratio),
            target: target.to_owned(),
            verdict: Verdict::of(reached(ratio.median)),
            cpu: cpu.shares(),
            marks: cpu.marks(),
        })
    };
    Ok(vec![
        row("produce 100 B, RF 3, 1 connection, p50, beside kfake", "µs", &single, "≤ 1", |ratio| {
            ratio <= 1.0
        })?,
        row("produce 100 B, RF 3, 64 connections, beside kfake", "acks/s", &many, "≥ 1.5", |ratio| {
            ratio >= 1.5
        })?,
        row("1 MiB batches, RF 1, beside kfake", "MB/s", &large, "≥ 2", |ratio| ratio >= 2.0)?,
    ])
}

/// Builds the peer, or says why that cannot be done here.
fn build(directory: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let directory = directory.canonicalize().map_err(|error| format!("{}: {error}", directory.display()))?;
    let program = directory.join("kfake");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(SOURCE).output();
    match built {
        Err(error) => Err(format!("go cannot be run: {error}")),
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("kfake was not built: {}", errors.lines().last().unwrap_or_default()))
        }
    }
}
