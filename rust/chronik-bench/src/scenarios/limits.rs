//! What the machine gives, measured in the same run as everything it is compared with.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Settings;
use crate::client::{Client, connect_stream};
use crate::error::BenchError;
use crate::latencies::Latencies;
use crate::paced;
use crate::report::Row;

/// Bytes of one write of the stream.
const STREAM_WRITE_BYTES: usize = 1 << 20;
/// Bytes of one append before each sync.
const SYNC_APPEND_BYTES: usize = 4 << 10;
/// `f_type` of a memory file system.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// How long appends and syncs are watched.
const SYNC_TIME: Duration = Duration::from_millis(500);
/// Bytes of one copy: more than the caches hold.
const COPY_BYTES: usize = 64 << 20;

/// Round trips to the echo server, one after the other, with requests of this size.
pub fn round_trips(echo: &mut Client, request: &[u8], count: u64) -> Result<Latencies, BenchError> {
    paced::closed_loop(echo, count, |client| {
        client.send(request)?;
        client.receive().map(|_| ())
    })
}

/// Bytes per second through loopback TCP, to a process that throws them away.
pub fn stream_bytes_per_s(sink: &str, bytes: u64) -> Result<f64, BenchError> {
    let mut stream = connect_stream(sink)?;
    let buffer = vec![7; STREAM_WRITE_BYTES];
    let start = Instant::now();
    let mut sent = 0;
    while sent < bytes {
        stream.write_all(&buffer).map_err(BenchError::io("streaming"))?;
        sent += buffer.len() as u64;
    }
    stream.shutdown(std::net::Shutdown::Write).map_err(BenchError::io("streaming"))?;
    stream.read_exact(&mut [0]).map_err(BenchError::io("waiting for the sink"))?;
    Ok(sent as f64 / start.elapsed().as_secs_f64())
}

/// Appends and syncs per second on one file of this directory.
pub fn syncs_per_s(directory: &Path) -> Result<f64, BenchError> {
    let latencies = sync_latencies(directory)?;
    Ok(1e6 / latencies.p50_us())
}

/// Latencies of an append of 4 KiB and a `fdatasync`.
pub fn sync_latencies(directory: &Path) -> Result<Latencies, BenchError> {
    fs::create_dir_all(directory).map_err(BenchError::io(format!("creating {}", directory.display())))?;
    let path = directory.join(format!("sync-probe-{}", std::process::id()));
    let what = || BenchError::io(format!("writing {}", path.display()));
    let mut file = File::create(&path).map_err(what())?;
    let (buffer, mut latencies) = (vec![7; SYNC_APPEND_BYTES], Latencies::new());
    let end = Instant::now() + SYNC_TIME;
    while Instant::now() < end {
        let start = Instant::now();
        file.write_all(&buffer).map_err(what())?;
        file.sync_data().map_err(what())?;
        latencies.record(start.elapsed());
    }
    fs::remove_file(&path).map_err(what())?;
    Ok(latencies)
}

/// Whether files of this directory are on a disk, as far as the file system's type tells.
pub fn is_memory_file_system(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|fs| fs.f_type as u64 == TMPFS_MAGIC)
}

/// Bytes per second copied within memory, to pages that are there already.
pub fn copy_bytes_per_s() -> f64 {
    let source = vec![1_u8; COPY_BYTES];
    let mut target = vec![2_u8; COPY_BYTES];
    let start = Instant::now();
    let rounds: u32 = 10;
    for _ in 0..rounds {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
    }
    f64::from(rounds) * COPY_BYTES as f64 / start.elapsed().as_secs_f64()
}

/// Latency of the cheapest system call.
pub fn system_calls() -> Latencies {
    let mut latencies = Latencies::new();
    for _ in 0..1_000 {
        // One clock reading around a hundred calls: reading it costs a tenth of a call.
        let start = Instant::now();
        for _ in 0..100 {
            std::hint::black_box(rustix::process::getppid());
        }
        latencies.record(start.elapsed() / 100);
    }
    latencies
}

/// All of them as rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let echo = settings.serve(&["echo"])?;
    let mut client = Client::plain(echo.address()?)?;
    let mut request = vec![0; 200];
    request.splice(..4, 196_u32.to_be_bytes());
    round_trips(&mut client, &request, 500)?;
    let round_trips = round_trips(&mut client, &request, 5_000)?;
    let sink = settings.serve(&["sink"])?;
    let stream = stream_bytes_per_s(sink.address()?, 2 << 30)?;
    let syncs = sync_latencies(&settings.data_dir)?;
    let disk = if is_memory_file_system(&settings.data_dir) { " (memory file system!)" } else { "" };
    Ok(vec![
        Row::plain("loopback round trip, 200 B and 64 B", round_trips.to_string()),
        Row::plain("loopback stream, 1 MiB writes", format!("{:.2} GB/s", stream / 1e9)),
        Row::plain("memcpy, 64 MiB", format!("{:.2} GB/s", copy_bytes_per_s() / 1e9)),
        Row::plain("append 4 KiB + fdatasync", format!("{syncs}{disk}")),
        Row::plain("system call", format!("{:.2} µs", system_calls().p50_us())),
    ])
}
