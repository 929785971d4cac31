//! Histories as text, which anyone may hand to the checker: lines that mean something, or an error with its line.

use chronik_history::{History, check};

use crate::Verdict;
use crate::memory::within;

/// Events that repeat are cheap in bytes; what the checker keeps of each is not.
const BYTES_PER_BYTE: usize = 256;
const FLOOR_BYTES: usize = 1 << 20;

/// Reads `data` as JSON lines. What is read is written and read again, and the checker reaches a verdict about it.
pub fn run(data: &[u8]) -> Verdict {
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

/// One line of every operation.
pub fn seeds() -> Vec<Vec<u8>> {
    let line = |op: &str, args: &str, result: &str| {
        format!(
            "{{\"i\":1,\"t_inv_ns\":1,\"t_ret_ns\":2,\"proc\":\"p\",\"client\":\"c\",\"node\":1,\"role\":\"leader\",\
             \"op\":\"{op}\",\"key\":\"t/0\",\"args\":{args},\"result\":{result},\"err\":0,\"status\":\"ok\"}}\n"
        )
    };
    let lines = [
        line(
            "send",
            r#"{"values":["a","b"],"acks":-1,"producer":{"id":1,"epoch":0,"sequence":0}}"#,
            r#"{"offset":0}"#,
        ),
        line(
            "fetch",
            r#"{"offset":0,"isolation":"read_committed","consistency":"linearizable","max_wait_ms":5}"#,
            r#"{"hw":2,"lso":2,"log_start":0,"records":[[0,"a"],[1,"b"]],"aborted":[[1,0]],"next":2}"#,
        ),
        line(
            "list",
            r#"{"timestamp":-1,"isolation":"read_uncommitted","consistency":"linearizable"}"#,
            r#"{"offset":2}"#,
        ),
        line("epoch_end", r#"{"epoch":1,"consistency":"linearizable"}"#, r#"{"epoch":1,"offset":2}"#),
        line("create", r#"{"name":"n"}"#, r#"{"topic_id":"t"}"#),
        line("meta", r#"{"topics":["t"]}"#, r#"{"topics":["t"]}"#),
        line("init", "{}", r#"{"id":1,"epoch":0}"#),
        line("commit", r#"{"group":"g","offset":2}"#, "null"),
        line("offset_fetch", r#"{"group":"g"}"#, r#"{"offset":2}"#),
        line("assign", r#"{"position":0}"#, "null"),
        line("fault", r#"{"text":"kill","paused":[1]}"#, "null"),
        line("phase", r#"{"name":"final"}"#, "null"),
        line("dump", "{}", r#"{"log_start":0,"hw":2,"records":[[0,"a"],[1,"b"]]}"#),
        line("state", "{}", r#"{"applied":2,"hash":"x"}"#),
        line("delete", r#"{"topic_id":"t"}"#, "null"),
    ];
    let all = lines.concat();
    lines.into_iter().chain([all, "# nothing\n\n".to_owned()]).map(String::into_bytes).collect()
}
