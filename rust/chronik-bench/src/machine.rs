//! What the machine was doing meanwhile: CPU of generator, server and everybody else; pinning.

use std::fs;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::BenchError;

/// Foreign load, as a share of the whole machine, above which a run is marked.
const BUSY_SHARE: f64 = 0.05;
/// Cores the generator may use before it counts as the limit.
const CLIENT_BOUND_CORES: f64 = 0.9;

/// CPU time used so far: by this process, by one other, and by the whole machine.
#[derive(Debug, Clone, Copy)]
pub struct CpuClock {
    at: Instant,
    own: Duration,
    server: Duration,
    machine: Duration,
    server_pid: Option<u32>,
}

/// CPU used between two readings, in cores.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuUse {
    /// By the generator.
    pub client_cores: f64,
    /// By the server's process.
    pub server_cores: f64,
    /// By everything else on the machine.
    pub foreign_cores: f64,
    /// Cores of the machine.
    pub cores: f64,
}

impl CpuClock {
    /// Reads the clocks; `server_pid` names the process to keep apart.
    pub fn read(server_pid: Option<u32>) -> CpuClock {
        CpuClock {
            at: Instant::now(),
            own: process_time("self"),
            server: server_pid.map_or(Duration::ZERO, |pid| process_time(&pid.to_string())),
            machine: machine_time(),
            server_pid,
        }
    }

    /// What was used since.
    pub fn used(&self) -> CpuUse {
        let now = CpuClock::read(self.server_pid);
        let elapsed = now.at.duration_since(self.at).as_secs_f64().max(1e-9);
        let cores = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64() / elapsed;
        let (client, server) = (cores(self.own, now.own), cores(self.server, now.server));
        let machine = cores(self.machine, now.machine);
        CpuUse {
            client_cores: client,
            server_cores: server,
            foreign_cores: (machine - client - server).max(0.0),
            cores: machine_cores() as f64,
        }
    }
}

impl CpuUse {
    /// The shares as the table shows them: generator and server, in cores.
    pub fn shares(&self) -> String {
        format!("{:.2}/{:.2}", self.client_cores, self.server_cores)
    }

    /// The mean of several rounds.
    pub fn mean(rounds: &[CpuUse]) -> CpuUse {
        let count = rounds.len().max(1) as f64;
        let mean = |value: fn(&CpuUse) -> f64| rounds.iter().map(value).sum::<f64>() / count;
        CpuUse {
            client_cores: mean(|round| round.client_cores),
            server_cores: mean(|round| round.server_cores),
            foreign_cores: mean(|round| round.foreign_cores),
            cores: mean(|round| round.cores),
        }
    }

    /// Marks that a run deserves: somebody else was busy, or the generator was the limit.
    pub fn marks(&self) -> Vec<&'static str> {
        let mut marks = Vec::new();
        if self.foreign_cores > BUSY_SHARE * self.cores {
            marks.push("busy");
        }
        if self.client_cores > CLIENT_BOUND_CORES {
            marks.push("client-bound");
        }
        marks
    }
}

/// Cores of the machine, whatever this process is pinned to.
pub fn machine_cores() -> usize {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let counted = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    if counted > 0 { counted } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// Resident memory of a process, in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64, BenchError> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(BenchError::io(format!("reading {path}")))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| BenchError::Unexpected(format!("{path} has no VmRSS")))
}

/// Binds this process's current thread, and those it starts later, to one core.
pub fn pin(core: usize) -> Result<(), BenchError> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .map_err(|error| BenchError::io(format!("pinning to core {core}"))(error.into()))
}

/// Lets this process's current thread run on every core of the machine again.
pub fn unpin() -> Result<(), BenchError> {
    let mut set = CpuSet::new();
    (0..machine_cores()).for_each(|core| set.set(core));
    sched_setaffinity(None, &set).map_err(|error| BenchError::io("binding to all cores")(error.into()))
}

/// What the CPU calls itself.
pub fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown CPU", |line| line.trim_start_matches([' ', '\t', ':'])).to_owned()
}

/// User and system time of a process and its ended threads. Without /proc it stays zero and no run is marked.
fn process_time(pid: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command's name may contain anything, so count the fields behind its closing bracket.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    from_ticks(ticks(11) + ticks(12))
}

/// Time in which any core was not idle.
fn machine_time() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|ticks| ticks.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal: all but idle and iowait, and not guest time, which user holds.
    let busy =
        fields.iter().enumerate().filter(|(place, _)| matches!(place, 0..=2 | 5..=7)).map(|(_, ticks)| ticks);
    from_ticks(busy.sum())
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_work_is_seen_as_the_clients() {
        let clock = CpuClock::read(None);
        let start = Instant::now();
        let mut number: u64 = 1;
        while start.elapsed() < Duration::from_millis(200) {
            number = std::hint::black_box(number.wrapping_mul(31));
        }
        let used = clock.used();
        assert!(used.client_cores > 0.2, "{used:?}");
    }

    #[test]
    fn marks_follow_the_limits() {
        let quiet = CpuUse { client_cores: 0.5, server_cores: 1.0, foreign_cores: 0.05, cores: 2.0 };
        assert!(quiet.marks().is_empty());
        let loud = CpuUse { client_cores: 0.95, foreign_cores: 0.2, ..quiet };
        assert_eq!(loud.marks(), ["busy", "client-bound"]);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100 << 10);
    }
}
