//! Servers under test, as child processes of the same program: their CPU is then told apart from the generator's.
//!
//! A child runs `chronik-bench serve ...`, says `ready name=value ...` on its standard output once it listens, answers
//! one line per line it is sent, and ends when its standard input does: it never outlives its parent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::error::BenchError;

/// First word of a child's first line.
pub(crate) const READY: &str = "ready";

/// A running child.
pub struct Server {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    values: BTreeMap<String, String>,
}

impl Server {
    /// Starts `chronik-bench serve` with these arguments and waits until it listens.
    pub fn start(args: &[&str]) -> Result<Server, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
        let mut command = Command::new(program);
        command.arg("serve").args(args);
        Server::launch(command, &format!("starting serve {}", args.join(" ")))
    }

    /// Starts any program that keeps to the same agreement.
    pub fn launch(mut command: Command, what: &str) -> Result<Server, BenchError> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(BenchError::io(what))?;
        let input = process.stdin.take();
        let Some(output) = process.stdout.take() else {
            return Err(BenchError::Unexpected(format!("{what}: the child has no output")));
        };
        let mut server = Server { process, input, output: BufReader::new(output), values: BTreeMap::new() };
        let line = server.line()?;
        let values =
            line.strip_prefix(READY).ok_or_else(|| BenchError::Unexpected(format!("{what}: {line}")))?;
        server.values = parse_values(values);
        Ok(server)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The address it said it listens on.
    pub fn address(&self) -> Result<&str, BenchError> {
        let address = self.values.get("address");
        address.map(String::as_str).ok_or_else(|| BenchError::Unexpected("the child named no address".into()))
    }

    /// The addresses of all nodes of the cluster it is, separated by commas.
    pub fn bootstrap(&self) -> Result<&str, BenchError> {
        let bootstrap = self.values.get("bootstrap");
        bootstrap.map(String::as_str).ok_or_else(|| BenchError::Unexpected("the child is no cluster".into()))
    }

    /// Sends a line and returns the values of the answer.
    pub fn ask(&mut self, line: &str) -> Result<BTreeMap<String, String>, BenchError> {
        if let Some(input) = self.input.as_mut() {
            writeln!(input, "{line}").map_err(BenchError::io("asking a child"))?;
        }
        Ok(parse_values(&self.line()?))
    }

    /// Sends a line and returns one number of the answer, 0 if it is not there.
    pub fn ask_number(&mut self, line: &str, name: &str) -> Result<u64, BenchError> {
        Ok(self.ask(line)?.get(name).and_then(|number| number.parse().ok()).unwrap_or(0))
    }

    fn line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).map_err(BenchError::io("listening to a child"))?;
        if read == 0 {
            return Err(BenchError::Unexpected("a server under test ended early; its log is above".into()));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the child's sign to stop.
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

fn parse_values(line: &str) -> BTreeMap<String, String> {
    let pairs = line.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
