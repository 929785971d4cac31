//! The checker against the model: histories of a broker that is always right are never accused, and each way to spoil
//! one of them is.

use chronik_history::model::{Options, generate};
use chronik_history::{
    Call, Event, FetchResult, History, InitArgs, InitResult, Isolation, Operation, Record, Rule, SendResult,
    Status, check,
};
use proptest::prelude::*;

fn options() -> impl Strategy<Value = Options> {
    (any::<u64>(), 50_usize..800, 1_usize..4, any::<bool>()).prop_map(
        |(seed, events, partitions, transactions)| Options { seed, events, partitions, transactions },
    )
}

/// Places of the events that can be spoilt in some way.
fn places(history: &History, wanted: impl Fn(&Event) -> bool) -> Vec<usize> {
    (0..history.events.len()).filter(|place| wanted(&history.events[*place])).collect()
}

/// One of them, by the seed.
fn pick(places: &[usize], seed: u64) -> Option<usize> {
    (!places.is_empty()).then(|| places[(seed % places.len() as u64) as usize])
}

fn answer(event: &Event) -> Option<&FetchResult> {
    match &event.operation {
        Operation::Fetch(Call { result: Some(result), .. })
            if event.is_ok() && result.preferred.is_none() =>
        {
            Some(result)
        }
        _ => None,
    }
}

fn answer_mut(event: &mut Event) -> &mut FetchResult {
    match &mut event.operation {
        Operation::Fetch(Call { result: Some(result), .. }) => result,
        other => panic!("{other:?}"),
    }
}

/// The largest end of the key that was acknowledged before the event was invoked.
fn acknowledged_before(history: &History, event: &Event) -> i64 {
    let end = |send: &Event| match &send.operation {
        Operation::Send(Call { args, result: Some(SendResult { offset: Some(offset) }) })
            if send.is_ok() && send.key == event.key && send.returned_ns < Some(event.invoked_ns) =>
        {
            Some(offset + args.values.len() as i64)
        }
        _ => None,
    };
    history.events.iter().filter_map(end).max().unwrap_or(0)
}

/// Spoils a history in one way; the rules of which at least one must be found broken, or `None` if the history has
/// nothing to spoil in this way.
type Spoil = fn(&mut History, u64) -> Option<&'static [Rule]>;

fn stale_watermark(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(history, |event| answer(event).is_some() && acknowledged_before(history, event) > 0);
    let place = pick(&places, seed)?;
    let end = acknowledged_before(history, &history.events[place]) - 1;
    let result = answer_mut(&mut history.events[place]);
    (result.hw, result.lso) = (Some(end), Some(end.min(result.lso?)));
    result.records.clear();
    result.next = None;
    Some(&[Rule::StaleRead])
}

fn false_empty(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(history, |event| match &event.operation {
        Operation::Fetch(call) => {
            call.args.isolation == Isolation::ReadUncommitted
                && answer(event).is_some()
                && call.args.offset < acknowledged_before(history, event)
        }
        _ => false,
    });
    let place = pick(&places, seed)?;
    let result = answer_mut(&mut history.events[place]);
    result.records.clear();
    result.next = None;
    Some(&[Rule::FalseEmpty])
}

fn hole_in_an_answer(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(history, |event| {
        matches!(&event.operation, Operation::Fetch(call) if call.args.isolation == Isolation::ReadUncommitted)
            && answer(event).is_some_and(|result| result.records.len() > 2)
    });
    let place = pick(&places, seed)?;
    answer_mut(&mut history.events[place]).records.remove(1);
    Some(&[Rule::PollSkip, Rule::LostWrite])
}

fn unknown_value(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(history, |event| answer(event).is_some_and(|result| !result.records.is_empty()));
    let place = pick(&places, seed)?;
    answer_mut(&mut history.events[place]).records[0].value = "from nowhere".into();
    Some(&[Rule::Garbage])
}

fn exchanged_values(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(history, |event| answer(event).is_some_and(|result| result.records.len() > 1));
    let place = pick(&places, seed)?;
    let records = &mut answer_mut(&mut history.events[place]).records;
    let first = records[0].value.clone();
    records[0].value = std::mem::replace(&mut records[1].value, first);
    Some(&[Rule::InconsistentOffset, Rule::NonmonotonicSend, Rule::Duplicate])
}

fn repeated_record(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(history, |event| answer(event).is_some_and(|result| !result.records.is_empty()));
    let place = pick(&places, seed)?;
    let result = answer_mut(&mut history.events[place]);
    let last = result.records.last()?.clone();
    result.records.push(Record { offset: last.offset + 1, ..last });
    Some(&[Rule::Duplicate, Rule::InconsistentOffset])
}

fn lost_everywhere(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    // Below the log start nobody can tell a lost record from a deleted one.
    let log_start = |key: &str| {
        let answers = history.events.iter().filter(|event| &*event.key == key).filter_map(answer);
        answers.filter_map(|result| result.log_start).max().unwrap_or(0)
    };
    let places = places(history, |event| match &event.operation {
        Operation::Send(Call { args, result: Some(SendResult { offset: Some(offset) }) }) => {
            event.is_ok() && args.transaction.is_none() && *offset >= log_start(&event.key)
        }
        _ => false,
    });
    let place = pick(&places, seed)?;
    let Operation::Send(call) = &history.events[place].operation else { return None };
    let value = call.args.values[0].clone();
    for event in &mut history.events {
        match &mut event.operation {
            Operation::Fetch(Call { result: Some(result), .. }) => {
                result.records.retain(|record| record.value != value)
            }
            Operation::Dump(Call { result: Some(result), .. }) => {
                result.records.retain(|record| record.value != value)
            }
            _ => {}
        }
    }
    Some(&[Rule::LostWrite, Rule::Unseen])
}

fn aborted_and_shown(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let shown = |name: &str| {
        let mut sent = history.events.iter().filter_map(|event| match &event.operation {
            Operation::Send(call) if call.args.transaction.as_deref() == Some(name) => {
                Some((event, &call.args.values))
            }
            _ => None,
        });
        sent.any(|(send, values)| {
            history.events.iter().any(|event| {
                matches!(&event.operation, Operation::Fetch(call) if call.args.isolation == Isolation::ReadCommitted)
                    && event.key == send.key
                    && answer(event).is_some_and(|result| {
                        result.records.iter().any(|record| values.contains(&record.value))
                    })
            })
        })
    };
    let places = places(history, |event| match &event.operation {
        Operation::End(call) => call.args.commit && event.is_ok() && shown(&call.args.transaction),
        _ => false,
    });
    let place = pick(&places, seed)?;
    if let Operation::End(call) = &mut history.events[place].operation {
        call.args.commit = false;
    }
    Some(&[Rule::G1a])
}

fn diverging_dump(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(
        history,
        |event| matches!(&event.operation, Operation::Dump(Call { result: Some(result), .. }) if !result.records.is_empty()),
    );
    let place = pick(&places, seed)?;
    if let Operation::Dump(Call { result: Some(result), .. }) = &mut history.events[place].operation {
        result.records.pop();
    }
    Some(&[Rule::ReplicaDivergence])
}

fn refused_but_stored(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let read: std::collections::BTreeSet<String> = history
        .events
        .iter()
        .filter_map(answer)
        .flat_map(|result| result.records.iter().map(|record| record.value.to_string()))
        .collect();
    let places = places(history, |event| match &event.operation {
        Operation::Send(call) => event.is_ok() && read.contains(call.args.values[0].as_str()),
        _ => false,
    });
    let place = pick(&places, seed)?;
    let event = &mut history.events[place];
    (event.status, event.error) = (Status::Fail, [6, 19, 56][(seed % 3) as usize]);
    Some(&[Rule::WrongCode])
}

fn lost_commit(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let places = places(history, |event| {
        let returned_before = |commit: &Event| {
            matches!(commit.operation, Operation::Commit(_))
                && commit.is_ok()
                && commit.key == event.key
                && commit.returned_ns < Some(event.invoked_ns)
        };
        matches!(event.operation, Operation::OffsetFetch(_)) && history.events.iter().any(returned_before)
    });
    let place = pick(&places, seed)?;
    if let Operation::OffsetFetch(Call { result: Some(result), .. }) = &mut history.events[place].operation {
        result.offset = -1;
    }
    Some(&[Rule::OffsetRegress])
}

fn late_answer(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let place = pick(&places(history, |event| answer(event).is_some()), seed)?;
    let event = &mut history.events[place];
    event.returned_ns = event.returned_ns.map(|returned_ns| returned_ns + 1_500_000_000);
    Some(&[Rule::LateAnswer])
}

fn forgotten_topic(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let place = pick(&places(history, |event| matches!(event.operation, Operation::Meta(_))), seed)?;
    if let Operation::Meta(Call { result: Some(result), .. }) = &mut history.events[place].operation {
        result.topics.clear();
    }
    Some(&[Rule::MetaRegress])
}

fn counted_too_early(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let last_send = |event: &Event| {
        history.events.iter().any(|send| {
            matches!(&send.operation, Operation::Send(Call { args, .. }) if args.acks == -1)
                && send.is_ok()
                && send.key == event.key
                && Some(send.invoked_ns) > event.returned_ns
        })
    };
    let places = places(history, |event| answer(event).is_some() && last_send(event));
    let place = pick(&places, seed)?;
    let result = answer_mut(&mut history.events[place]);
    result.hw = Some(1_000_000);
    Some(&[Rule::Phantom])
}

fn replaced_and_accepted(history: &mut History, seed: u64) -> Option<&'static [Rule]> {
    let in_transaction = |event: &Event| match &event.operation {
        Operation::Send(Call { args, .. }) => event.is_ok() && args.transaction.is_some(),
        _ => false,
    };
    let place = pick(&places(history, in_transaction), seed)?;
    let (client, invoked_ns) = (history.events[place].client.clone(), history.events[place].invoked_ns);
    let args = InitArgs { transactional_id: Some(client), bound_ms: None };
    let result = Some(InitResult { id: 1_000_000, epoch: 0 });
    let init = Operation::Init(Call { args, result });
    let mut event = Event::invoked(invoked_ns - 1, "another", "", init);
    (event.returned_ns, event.status) = (Some(invoked_ns - 1), Status::Ok);
    history.push(event);
    Some(&[Rule::Zombie])
}

const SPOILS: [(&str, Spoil); 15] = [
    ("stale watermark", stale_watermark),
    ("false empty", false_empty),
    ("hole in an answer", hole_in_an_answer),
    ("unknown value", unknown_value),
    ("exchanged values", exchanged_values),
    ("repeated record", repeated_record),
    ("lost everywhere", lost_everywhere),
    ("aborted and shown", aborted_and_shown),
    ("diverging dump", diverging_dump),
    ("refused but stored", refused_but_stored),
    ("lost commit", lost_commit),
    ("late answer", late_answer),
    ("forgotten topic", forgotten_topic),
    ("counted too early", counted_too_early),
    ("replaced and accepted", replaced_and_accepted),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn test_a_broker_that_is_always_right_is_never_accused(options in options()) {
        let verdict = check(&generate(&options));
        prop_assert!(verdict.is_clean(), "{options:?}: {verdict}");
    }

    #[test]
    fn test_each_way_to_spoil_a_history_is_found(options in options(), seed in any::<u64>()) {
        for (name, spoil) in SPOILS {
            let mut history = generate(&options);
            let Some(rules) = spoil(&mut history, seed) else { continue };
            let verdict = check(&history);
            prop_assert!(
                rules.iter().any(|rule| verdict.count(*rule) > 0),
                "{name} was not found by {rules:?}: {options:?} {seed}: {verdict}"
            );
        }
    }
}

/// Numbers at the borders of their types.
const EXTREMES: [&str; 6] =
    ["0", "1", "2147483647", "9223372036854775807", "4294967296", "9223372036854775806"];

/// Replaces about one number in `one_in` by an extreme one; lines that are no events any more are left out.
fn with_extremes(history: &History, seed: u64, one_in: u64) -> History {
    let mut written = Vec::new();
    history.write(&mut written).expect("a vector takes everything");
    let text = String::from_utf8(written).expect("JSON is UTF-8");
    let mut state = seed | 1;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut events = Vec::new();
    for line in text.lines() {
        let mut changed = String::new();
        let mut rest = line;
        while let Some(begin) = rest.find(|character: char| character.is_ascii_digit()) {
            let (before, number) = rest.split_at(begin);
            let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
            let is_changed = before.ends_with([':', ',', '[']) && random() % one_in == 0;
            changed.push_str(before);
            changed.push_str(if is_changed { EXTREMES[(random() % 6) as usize] } else { &number[..end] });
            rest = &number[end..];
        }
        changed.push_str(rest);
        events.extend(History::read(changed.as_bytes()).map(|history| history.events).unwrap_or_default());
    }
    History { events }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn test_no_number_makes_the_checker_panic(options in options(), seed in any::<u64>(), one_in in 2_u64..100) {
        let spoilt = with_extremes(&generate(&options), seed, one_in);
        let verdict = check(&spoilt);
        prop_assert_eq!(verdict.statistics.events, spoilt.events.len() as u64);
    }
}

/// Every way to spoil a history finds something to spoil in most of them; else the property above would prove nothing.
#[test]
fn test_most_histories_can_be_spoilt_in_each_way() {
    for (name, spoil) in SPOILS {
        let spoilt = (0..20)
            .filter(|seed| {
                let options = Options { seed: *seed, events: 2_000, ..Options::default() };
                spoil(&mut generate(&options), *seed).is_some()
            })
            .count();
        assert!(spoilt >= 15, "{name}: {spoilt} of 20");
    }
}
