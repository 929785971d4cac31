//! How a program says what happened, and when it is told to end.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

/// The named arguments of a job.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// The argument of this name.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or_else(|| panic!("no argument {name}"), String::as_str)
    }

    /// The argument of this name, or nothing.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An argument that is a number.
    pub fn number(&self, name: &str) -> usize {
        self.get(name).parse().unwrap_or_else(|_| panic!("{name} is no number"))
    }
}

/// The job and its arguments, from the command line.
pub fn arguments() -> (String, Arguments) {
    let mut given = std::env::args().skip(1);
    let job = given.next().expect("the first argument is the job");
    let named = given
        .map(|argument| argument.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .map(|argument| argument.expect("arguments are name=value"));
    (job, Arguments(named.collect()))
}

/// Writes one line of JSON: the fields, and what happened.
pub fn say(event: &str, mut fields: Value) {
    fields["event"] = event.into();
    println!("{fields}");
}

/// Says that a record was read.
pub fn say_record(partition: i32, offset: i64, value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    say("record", serde_json::json!({"partition": partition, "offset": offset, "value": value}));
}

/// Is set when the standard input ends: a member shall leave.
pub fn input_ended() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::SeqCst);
    });
    ended
}

/// The transactions of the job `transact`: what its values are called, and how it ends.
pub const TRANSACTIONS: [(&str, &str); 3] = [("kept", "commit"), ("dropped", "abort"), ("last", "commit")];
