//! What a child process can be: an echo, a sink, a null broker, an idle process, or a chronik cluster.

mod cluster;
mod echo;
mod null_broker;

use std::io::{BufRead, Write};
use std::net::TcpListener;

use clap::{Args, Subcommand};

use crate::child::READY;
use crate::error::BenchError;
use crate::machine;

/// The kinds of servers.
#[derive(Debug, Subcommand)]
pub enum Kind {
    /// Answers every frame with a frame of a fixed size: the floor of any acknowledgement
    Echo {
        /// Bytes of the answer
        #[arg(long, default_value_t = 64)]
        answer_bytes: usize,
    },
    /// Reads and throws away: the ceiling of any loopback stream
    Sink,
    /// Speaks Kafka and keeps nothing: the ceiling of any broker
    Null,
    /// Does nothing: the memory of a process without a broker
    Idle,
    /// A chronik cluster in this process
    Cluster(crate::cluster::ClusterArgs),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// What to serve
    #[command(subcommand)]
    pub kind: Kind,
    /// Bind the process to this core
    #[arg(long, global = true)]
    pub core: Option<usize>,
}

/// Serves until standard input ends.
pub fn run(args: ServeArgs) -> Result<(), BenchError> {
    if let Some(core) = args.core {
        machine::pin(core)?;
    }
    match args.kind {
        Kind::Echo { answer_bytes } => serve_connections(move |stream| echo::serve(stream, answer_bytes)),
        Kind::Sink => serve_connections(echo::sink),
        Kind::Null => null_broker::run(),
        Kind::Idle => {
            ready("");
            answer_lines(|_| String::new());
            Ok(())
        }
        Kind::Cluster(args) => cluster::run(&args),
    }
}

/// Says that the server listens.
fn ready(values: &str) {
    println!("{READY} {values}");
    let _ = std::io::stdout().flush();
}

/// Answers every line of standard input until it ends, which is the parent's sign to stop.
fn answer_lines(mut answer: impl FnMut(&str) -> String) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        println!("{}", answer(&line));
        let _ = std::io::stdout().flush();
    }
}

/// A thread per connection: the fewest wake-ups there can be.
fn serve_connections(
    serve: impl Fn(std::net::TcpStream) -> std::io::Result<()> + Clone + Send + 'static,
) -> Result<(), BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(BenchError::io("binding a port"))?;
    let address = listener.local_addr().map_err(BenchError::io("reading the bound port"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    ready(&format!("address={address}"));
    answer_lines(|_| String::new());
    Ok(())
}
