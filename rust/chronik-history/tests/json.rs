//! The JSON lines themselves: what may be left out, what is refused, and that errors name the line.

use chronik_history::{History, Operation, ReadError, Status};

const SEND: &str = r#"{"t_inv_ns":1,"t_ret_ns":2,"op":"send","key":"t/0","args":{"values":["a"]},"result":{"offset":0},"status":"ok"}"#;

fn error(text: &str) -> ReadError {
    History::read(text.as_bytes()).expect_err("a line is wrong")
}

#[test]
fn test_defaults_comments_blank_lines_and_unknown_fields() {
    let text = format!(
        "# a comment\n\n{SEND}\n{}",
        r#"{"t_inv_ns":3,"op":"fetch","args":{"offset":0,"mood":"good"},"status":"info","weather":{"rain":[1]}}"#
    );
    let history = History::read(text.as_bytes()).unwrap();
    let [send, fetch] = &history.events[..] else { panic!("{history:?}") };
    assert_eq!((send.number, send.status, send.error), (3, Status::Ok, 0));
    let Operation::Send(call) = &send.operation else { panic!("{send:?}") };
    assert_eq!((call.args.acks, call.args.may_repeat, &call.args.producer), (-1, false, &None));
    assert_eq!((fetch.number, fetch.returned_ns, &*fetch.key), (4, None, ""));
    assert!(matches!(&fetch.operation, Operation::Fetch(call) if call.result.is_none()));
}

#[test]
fn test_an_unknown_operation_is_refused_with_its_line() {
    let text = format!("{SEND}\n{}", r#"{"t_inv_ns":3,"op":"guess","status":"info"}"#);
    let error = error(&text);
    assert!(matches!(&error, ReadError::UnknownOperation { line: 2, op } if op == "guess"), "{error}");
}

#[test]
fn test_a_torn_line_is_refused_with_its_line() {
    let text = format!("{SEND}\n{}", &SEND[..40]);
    assert!(matches!(error(&text), ReadError::Malformed { line: 2, .. }));
}

#[test]
fn test_a_line_that_contradicts_itself_is_refused() {
    for wrong in [
        r#"{"t_inv_ns":3,"t_ret_ns":4,"op":"list","args":{"timestamp":-1},"err":6,"status":"ok"}"#,
        r#"{"t_inv_ns":3,"op":"list","args":{"timestamp":-1},"status":"ok"}"#,
        r#"{"t_inv_ns":3,"t_ret_ns":2,"op":"list","args":{"timestamp":-1},"status":"fail","err":6}"#,
    ] {
        assert!(matches!(error(wrong), ReadError::Contradiction { line: 1, .. }), "{wrong}");
    }
}

#[test]
fn test_equal_texts_share_one_allocation() {
    let text =
        format!("{SEND}\n{}", SEND.replace("\"t_inv_ns\":1,\"t_ret_ns\":2", "\"t_inv_ns\":3,\"t_ret_ns\":4"));
    let history = History::read(text.as_bytes()).unwrap();
    let value = |place: usize| match &history.events[place].operation {
        Operation::Send(call) => call.args.values[0].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(value(0).as_ptr(), value(1).as_ptr());
}
