//! Histories as text, which anyone may hand to the checker: lines that mean something, or an error with its line; and a
//! verdict, whatever the numbers in them.

use chronik_history::{History, check};

use crate::Verdict;
use crate::input::Input;
use crate::memory::within;

/// Events that repeat are cheap in bytes; what the checker keeps of each is not.
const BYTES_PER_BYTE: usize = 256;
const FLOOR_BYTES: usize = 1 << 20;
/// First byte of an input that chooses events instead of spelling them.
const CHOOSES: u8 = 0xff;
/// Most events that an input chooses.
const EVENTS_MAX: usize = 64;

/// Numbers at the edges of 64 bits, where sums overflow.
const EDGES: [&str; 6] = [
    "-1",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "4294967296",
    "18446744073709551615",
];

/// An event of every operation: its name, arguments and result. `#` is a number of the input's choice, `%` a small one.
const TEMPLATES: [(&str, &str, &str); 20] = [
    ("send", r##"{"values":["v%","w%"],"producer":{"id":#,"epoch":%,"sequence":%}}"##, r##"{"offset":#}"##),
    ("send", r##"{"values":["v%"],"acks":-1,"bound_ms":#,"transaction":"x%"}"##, r##"{"offset":#}"##),
    ("send", r##"{"values":["v%"],"may_repeat":true}"##, "null"),
    (
        "fetch",
        r##"{"offset":#,"isolation":"read_committed","consistency":"linearizable","max_wait_ms":#,"bound_ms":#}"##,
        r##"{"hw":#,"lso":#,"log_start":#,"records":[[#,"v%"],[#,"w%"]],"aborted":[[#,#]],"next":#}"##,
    ),
    (
        "fetch",
        r##"{"offset":#,"isolation":"read_uncommitted","consistency":"tail"}"##,
        r##"{"hw":#,"lso":#,"log_start":#,"records":[]}"##,
    ),
    (
        "list",
        r##"{"timestamp":#,"isolation":"read_uncommitted","consistency":"linearizable"}"##,
        r##"{"offset":#}"##,
    ),
    ("epoch_end", r##"{"epoch":%,"consistency":"linearizable"}"##, r##"{"epoch":%,"offset":#}"##),
    ("create", r##"{"name":"n","bound_ms":#}"##, r##"{"topic_id":"t"}"##),
    ("delete", r##"{"topic_id":"t"}"##, "null"),
    ("meta", r##"{"topics":["t"]}"##, r##"{"topics":["t"]}"##),
    ("init", "{}", r##"{"id":#,"epoch":%}"##),
    ("begin", r##"{"transaction":"x%","transactional_id":"i%"}"##, "null"),
    ("end", r##"{"transaction":"x%","commit":true}"##, "null"),
    ("commit", r##"{"group":"g","generation":%,"offset":#}"##, "null"),
    ("offset_fetch", r##"{"group":"g"}"##, r##"{"offset":#}"##),
    ("assign", r##"{"position":#}"##, "null"),
    ("fault", r##"{"text":"kill","paused":[%]}"##, "null"),
    ("phase", r##"{"name":"final"}"##, "null"),
    ("dump", "{}", r##"{"log_start":#,"hw":#,"records":[[#,"v%"],[#,"w%"]]}"##),
    ("state", "{}", r##"{"applied":#,"hash":#}"##),
];

/// What happened to an event's call: its status and error code.
const ENDS: [(&str, &str); 5] = [("ok", "0"), ("ok", "0"), ("ok", "78"), ("info", "7"), ("fail", "6")];

/// Reads `data`, or what it chooses, as JSON lines. What is read is written and read again, and the checker reaches a
/// verdict about it.
pub fn run(data: &[u8]) -> Verdict {
    match data.split_first() {
        Some((&CHOOSES, choices)) => read(chosen(Input::new(choices)).as_bytes()),
        _ => read(data),
    }
}

fn read(data: &[u8]) -> Verdict {
    let allowed = FLOOR_BYTES + BYTES_PER_BYTE * data.len();
    let Ok(history) = within("a history", allowed, || History::read(data)) else { return Verdict::Refused };
    let mut written = Vec::new();
    history.write(&mut written).expect("memory takes all");
    let again = History::read(written.as_slice()).expect("what we write we read");
    assert_eq!(again, history);
    let verdict = within("a verdict", allowed, || check(&history));
    assert_eq!(verdict.is_clean(), verdict.total() == 0);
    assert!(!verdict.to_string().is_empty());
    Verdict::Accepted
}

/// The events that an input chooses, as text. Numbers beyond their field's type make no event.
fn chosen(mut input: Input<'_>) -> String {
    let mut text = String::new();
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        let line = event(&mut input);
        if History::read(line.as_bytes()).is_ok() {
            text.push_str(&line);
        }
    }
    text
}

fn event(input: &mut Input<'_>) -> String {
    let (op, args, result) = input.one_of(&TEMPLATES).unwrap_or_default();
    let (status, err) = input.one_of(&ENDS).unwrap_or_default();
    let begins: u64 = number(input).parse().unwrap_or(0);
    let ends = begins.saturating_add(u64::from(input.byte()));
    let frame = format!(
        "{{\"t_inv_ns\":{begins},\"t_ret_ns\":{ends},\"client\":\"c%\",\"node\":%,\"role\":\"leader\",\"key\":\"t/%\",\
         \"op\":\"{op}\",\"args\":{args},\"result\":{result},\"err\":{err},\"status\":\"{status}\"}}\n"
    );
    let mut line = String::new();
    for letter in frame.chars() {
        match letter {
            '#' => line.push_str(&number(input)),
            '%' => line.push_str(&(input.byte() % 4).to_string()),
            other => line.push(other),
        }
    }
    line
}

/// Small as a rule, so that events speak of the same things.
fn number(input: &mut Input<'_>) -> String {
    match input.byte() {
        small @ 0..0xf0 => (small % 12).to_string(),
        edge => EDGES[usize::from(edge) % EDGES.len()].to_owned(),
    }
}

/// Every operation, spelt and chosen.
pub fn seeds() -> Vec<Vec<u8>> {
    let templates = 0..TEMPLATES.len() as u8;
    let choices = |template: u8, first: u8| [template, 0].into_iter().chain(first..first + 20);
    let spelt = templates.clone().map(|template| {
        let choices: Vec<u8> = choices(template, 0).collect();
        event(&mut Input::new(&choices)).into_bytes()
    });
    let choose = |first: u8| {
        let choices = templates.clone().flat_map(|template| choices(template, first));
        std::iter::once(CHOOSES).chain(choices).collect()
    };
    spelt.chain([b"# nothing\n\n".to_vec(), choose(0), choose(100), choose(230)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_an_event() {
        for seed in seeds() {
            assert_eq!(run(&seed), Verdict::Accepted, "{}", String::from_utf8_lossy(&seed));
        }
    }
}
