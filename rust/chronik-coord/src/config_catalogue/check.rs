//! Whether a value is allowed for a key, and what to say when it is not.

use std::collections::BTreeMap;

use super::key::{ConfigKey, ConfigKind, Effect, Rule, Scope};
use super::{AutoOffsetReset, broker_key, group_key, nearest, topic_key};
use crate::limits;
use crate::reply::ItemError;
use chronik_wire::error_code::ErrorCode;

/// What [`check_broker_config`] accepts: the configuration and a warning per key without use.
pub type Accepted = (BTreeMap<String, String>, Vec<String>);

/// Checks the configuration a broker is started with. Values come back trimmed.
///
/// # Errors
/// One line per mistake: a name that Kafka does not know (with the nearest it does), a value of the
/// wrong type or out of range.
pub fn check_broker_config(config: &BTreeMap<String, String>) -> Result<Accepted, Vec<String>> {
    let (mut accepted, mut warnings, mut mistakes) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (name, value) in config {
        match broker_key(strip_listener(name)) {
            None => mistakes.push(unknown_name(name).message),
            Some(key) => match check_value(key, value) {
                Err(broken) => mistakes.push(format!("{name}={value}: {broken}")),
                Ok(()) => {
                    if key.effect == Effect::None {
                        warnings.push(format!("{name} has no effect in chronik; it is accepted and ignored"));
                    }
                    accepted.insert(name.clone(), value.trim().to_owned());
                }
            },
        }
    }
    if mistakes.is_empty() { Ok((accepted, warnings)) } else { Err(mistakes) }
}

/// Kafka lets a listener override keys by a prefix: `listener.name.internal.ssl.keystore.type`.
fn strip_listener(name: &str) -> &str {
    name.strip_prefix("listener.name.").and_then(|rest| rest.split_once('.')).map_or(name, |(_, key)| key)
}

/// Checks one override of a topic.
///
/// # Errors
/// Code 40.
pub fn check_topic_config(name: &str, value: &str) -> Result<(), ItemError> {
    let key = topic_key(name).ok_or_else(|| unknown_name(name))?;
    check_value(key, value).map_err(|broken| invalid_value(name, value, &broken))
}

/// Checks one override of a group, its broker's bounds aside.
///
/// # Errors
/// Code 40.
pub fn check_group_config(name: &str, value: &str) -> Result<(), ItemError> {
    let key = group_key(name).ok_or_else(|| unknown_name(name))?;
    check_value(key, value).map_err(|broken| invalid_value(name, value, &broken))
}

/// Checks one override of a broker that comes at run time.
///
/// # Errors
/// Code 40, also for a key that only counts at start.
pub fn check_dynamic_broker_config(name: &str, value: &str, one_broker: bool) -> Result<(), ItemError> {
    let key = broker_key(name).ok_or_else(|| unknown_name(name))?;
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_CONFIG, message));
    if key.scope == Scope::ReadOnly {
        return refuse(format!("{name:?} cannot change at run time; set it where the broker is started"));
    }
    if key.sensitive && !one_broker {
        return refuse(format!("{name:?} holds a secret; set it per broker"));
    }
    check_value(key, value).map_err(|broken| invalid_value(name, value, &broken))
}

/// The error of a name that is not in the catalogue, with the nearest that is.
pub(crate) fn unknown_name(name: &str) -> ItemError {
    let shown: String = name.chars().take(100).collect();
    let hint = nearest(name).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    ItemError::new(ErrorCode::INVALID_CONFIG, format!("unknown configuration {shown:?}{hint}"))
}

fn invalid_value(name: &str, value: &str, broken: &str) -> ItemError {
    let shown: String = value.chars().take(100).collect();
    ItemError::new(
        ErrorCode::INVALID_CONFIG,
        format!("invalid value {shown:?} for configuration {name:?}: {broken}"),
    )
}

/// What is wrong with a value, as a phrase.
fn check_value(key: &ConfigKey, value: &str) -> Result<(), String> {
    if value.len() > limits::CONFIG_VALUE_BYTES_MAX {
        return Err(format!("longer than {} bytes", limits::CONFIG_VALUE_BYTES_MAX));
    }
    let value = value.trim();
    match key.kind {
        ConfigKind::Boolean => check_boolean(key, value),
        ConfigKind::Short => check_integer(key, value, i16::MIN.into(), i16::MAX.into()),
        ConfigKind::Int => check_integer(key, value, i32::MIN.into(), i32::MAX.into()),
        ConfigKind::Long => check_integer(key, value, i64::MIN, i64::MAX),
        ConfigKind::Double => check_double(key, value),
        ConfigKind::String | ConfigKind::Class | ConfigKind::Password => check_word(key, value),
        ConfigKind::List => check_list(key, value),
    }
}

fn check_boolean(key: &ConfigKey, value: &str) -> Result<(), String> {
    let truth = if value.eq_ignore_ascii_case("true") {
        true
    } else if value.eq_ignore_ascii_case("false") {
        false
    } else {
        return Err("must be true or false".to_owned());
    };
    if truth && key.rule == Rule::OnlyFalse {
        return Err("must be false; what true asks for breaks the promises of this system".to_owned());
    }
    Ok(())
}

fn check_integer(key: &ConfigKey, value: &str, type_min: i64, type_max: i64) -> Result<(), String> {
    let number: i64 = value.parse().map_err(|_| "must be a whole number".to_owned())?;
    let (least, most) = match key.rule {
        Rule::AtLeast(least) => (least, type_max),
        Rule::MinusOneOrAtLeast(_) if number == -1 => return Ok(()),
        Rule::MinusOneOrAtLeast(least) => (least, type_max),
        Rule::Between(least, most) => (least, most),
        _ => (type_min, type_max),
    };
    if (least..=most).contains(&number) { Ok(()) } else { Err(format!("must be between {least} and {most}")) }
}

fn check_double(key: &ConfigKey, value: &str) -> Result<(), String> {
    let number: f64 = value.parse().map_err(|_| "must be a number".to_owned())?;
    if key.rule == Rule::Fraction && !(0.0..=1.0).contains(&number) {
        return Err("must be between 0 and 1".to_owned());
    }
    Ok(())
}

fn check_word(key: &ConfigKey, value: &str) -> Result<(), String> {
    match key.rule {
        Rule::OneOf(words) if !words.contains(&value) => Err(format!("must be one of {}", words.join(", "))),
        Rule::OffsetReset if AutoOffsetReset::from_name(value).is_none() => {
            Err("must be earliest, latest or by_duration:PnDTnHnMn.nS".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_list(key: &ConfigKey, value: &str) -> Result<(), String> {
    let Rule::ListOf(words) = key.rule else { return Ok(()) };
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    match parts.into_iter().find(|part| !words.contains(part)) {
        Some(part) => Err(format!("{part:?} is not one of {}", words.join(", "))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn known_keys_pass_and_those_without_use_warn() {
        let given = config(&[
            ("num.partitions", " 4 "),
            ("num.io.threads", "2"),
            ("listener.name.x.ssl.protocol", "T"),
        ]);
        let (accepted, warnings) = check_broker_config(&given).expect("all known");
        assert_eq!(accepted.get("num.partitions").map(String::as_str), Some("4"));
        assert_eq!(accepted.len(), 3);
        assert_eq!(warnings.len(), 2);
        assert!(warnings.iter().any(|line| line.starts_with("num.io.threads has no effect")));
    }

    #[test]
    fn every_mistake_is_one_line_and_names_the_way_out() {
        let given = config(&[
            ("num.partition", "4"),
            ("num.partitions", "0"),
            ("unclean.leader.election.enable", "true"),
            ("auto.create.topics.enable", "yes"),
            ("log.cleanup.policy", "delete,shred"),
            ("default.replication.factor", "0"),
        ]);
        let mistakes = check_broker_config(&given).expect_err("all wrong");
        assert_eq!(mistakes.len(), given.len(), "{mistakes:#?}");
        assert!(mistakes.iter().any(|line| line.contains("did you mean \"num.partitions\"")));
    }

    #[test]
    fn topic_values_are_checked_by_type_and_rule() {
        for (name, value) in
            [("retention.ms", "-1"), ("min.cleanable.dirty.ratio", "0.1"), ("segment.bytes", "1048576")]
        {
            assert_eq!(check_topic_config(name, value), Ok(()), "{name}={value}");
        }
        for (name, value) in [
            ("retention.ms", "-2"),
            ("retention.ms", "soon"),
            ("min.cleanable.dirty.ratio", "1.5"),
            ("segment.bytes", "1048575"),
            ("max.message.bytes", "2147483648"),
            ("message.timestamp.type", "createtime"),
            ("chronik.read.consistency", "eventual"),
            ("unclean.leader.election.enable", "true"),
            ("retention", "1"),
        ] {
            let error = check_topic_config(name, value).expect_err(name);
            assert_eq!(error.code, ErrorCode::INVALID_CONFIG, "{name}={value}");
        }
    }

    #[test]
    fn read_only_broker_keys_do_not_change_at_run_time() {
        assert!(check_dynamic_broker_config("log.retention.ms", "1000", false).is_ok());
        assert!(check_dynamic_broker_config("node.id", "7", true).is_err());
        assert!(check_dynamic_broker_config("log.retention.ms", "x", false).is_err());
        assert!(check_dynamic_broker_config("nothing", "x", false).is_err());
    }

    #[test]
    fn a_value_at_the_length_bound_passes_and_one_past_it_does_not() {
        let at = "x".repeat(limits::CONFIG_VALUE_BYTES_MAX);
        assert!(check_topic_config("leader.replication.throttled.replicas", &at).is_ok());
        assert!(check_topic_config("leader.replication.throttled.replicas", &(at + "x")).is_err());
    }
}
