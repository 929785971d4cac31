//! Changing configurations: replace all overrides, or step by step; one resource is all or nothing.

use std::collections::BTreeMap;

use crate::apply::brokers::not_registered;
use crate::apply::topics::{repeated, unknown_topic};
use crate::command::{AlterConfigs, Change, ConfigChange, ConfigOp, ConfigResource, OpKind, TopicRef};
use crate::config_catalogue::{self, ConfigKey, ConfigKind};
use crate::controller::State;
use crate::groups;
use crate::image::{MetaImage, Topic};
use crate::limits;
use crate::reply::ItemError;
use chronik_wire::error_code::ErrorCode;

type Overrides = BTreeMap<String, String>;

/// Changes each resource on its own.
pub(crate) fn alter(state: &mut State, alter: &AlterConfigs) -> Vec<(ConfigResource, Result<(), ItemError>)> {
    let twice = repeated(alter.resources.iter().map(|change| &change.resource));
    let one = |change: &ConfigChange| {
        if twice.contains(&change.resource) {
            return Err(ItemError::new(ErrorCode::INVALID_REQUEST, "the resource is named more than once"));
        }
        alter_one(state, change)
    };
    let outcomes: Vec<_> = alter.resources.iter().map(one).collect();
    alter.resources.iter().map(|change| change.resource.clone()).zip(outcomes).collect()
}

fn alter_one(state: &mut State, change: &ConfigChange) -> Result<(), ItemError> {
    match &change.resource {
        ConfigResource::Topic(name) => {
            let topic =
                state.image.topic(name).ok_or_else(|| unknown_topic(&TopicRef::Name(name.clone())))?;
            let configs = changed(&topic.configs, &change.change, &change.resource)?;
            let topic = Topic { configs, ..Topic::clone(topic) };
            state.image.put_topic(topic);
        }
        ConfigResource::Broker(node) => {
            if let Some(id) = node.filter(|id| !state.image.brokers.contains_key(id)) {
                return Err(not_registered(id));
            }
            let configs = changed(state.image.broker_overrides(*node), &change.change, &change.resource)?;
            state.image.set_broker_overrides(*node, configs);
        }
        ConfigResource::Group(group) => {
            check_group(&state.image, group)?;
            let configs = changed(state.image.group_overrides(group), &change.change, &change.resource)?;
            state.image.set_group_overrides(group.clone(), configs);
        }
    }
    Ok(())
}

/// Whether a group can have overrides.
fn check_group(image: &MetaImage, group: &str) -> Result<(), ItemError> {
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_REQUEST, message));
    if group.is_empty() {
        return refuse("there is no default configuration of groups; name one".to_owned());
    }
    if group.len() > groups::limits::NAME_BYTES_MAX {
        return refuse(format!("the group's name exceeds {} bytes", groups::limits::NAME_BYTES_MAX));
    }
    let is_new = image.group_overrides(group).is_empty();
    if is_new && image.configured_groups().len() >= limits::CONFIGURED_GROUPS_MAX {
        return refuse(format!(
            "{} groups have a configuration, which is all there may be; delete those of unused groups",
            limits::CONFIGURED_GROUPS_MAX
        ));
    }
    Ok(())
}

/// The overrides after a change, checked by themselves.
///
/// # Errors
/// An unknown name, a bad value, an operation that makes no sense.
pub(crate) fn changed(
    current: &Overrides,
    change: &Change,
    resource: &ConfigResource,
) -> Result<Overrides, ItemError> {
    let configs = match change {
        Change::Replace(configs) => replaced(configs)?,
        Change::Incremental(ops) => stepped(current, ops, resource)?,
    };
    if configs.len() > limits::CONFIGS_PER_RESOURCE_MAX {
        return Err(invalid(format!(
            "{} configurations exceed the {} a resource may have",
            configs.len(),
            limits::CONFIGS_PER_RESOURCE_MAX
        )));
    }
    // What was there before was checked when it came; only what is new or different is checked now.
    for (name, value) in configs.iter().filter(|(name, value)| current.get(*name) != Some(*value)) {
        match resource {
            ConfigResource::Topic(_) => config_catalogue::check_topic_config(name, value)?,
            ConfigResource::Broker(node) => {
                config_catalogue::check_dynamic_broker_config(name, value, node.is_some())?
            }
            ConfigResource::Group(_) => config_catalogue::check_group_config(name, value)?,
        }
    }
    Ok(configs)
}

fn replaced(configs: &[(String, Option<String>)]) -> Result<Overrides, ItemError> {
    refuse_repeated(configs.iter().map(|(name, _)| name.as_str()))?;
    let mut overrides = Overrides::new();
    for (name, value) in configs {
        overrides.insert(name.clone(), operand(name, value)?.to_owned());
    }
    Ok(overrides)
}

fn stepped(current: &Overrides, ops: &[ConfigOp], resource: &ConfigResource) -> Result<Overrides, ItemError> {
    refuse_repeated(ops.iter().map(|op| op.name.as_str()))?;
    let mut overrides = current.clone();
    for op in ops {
        let key = find_key(resource, &op.name)?;
        match op.kind {
            OpKind::Set => {
                overrides.insert(op.name.clone(), operand(&op.name, &op.value)?.to_owned());
            }
            OpKind::Delete => {
                overrides.remove(&op.name);
            }
            OpKind::Append | OpKind::Subtract => {
                let list = edited_list(key, overrides.get(&op.name), op)?;
                overrides.insert(op.name.clone(), list);
            }
        }
    }
    Ok(overrides)
}

/// The list after adding or taking elements; without an override Kafka starts from the default.
fn edited_list(key: &ConfigKey, current: Option<&String>, op: &ConfigOp) -> Result<String, ItemError> {
    if key.kind != ConfigKind::List {
        return Err(invalid(format!(
            "{:?} is not a list; only lists can be appended to or subtracted from",
            op.name
        )));
    }
    let parts = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let mut list = parts(current.map_or(key.default.unwrap_or(""), String::as_str));
    let operands = parts(operand(&op.name, &op.value)?);
    if op.kind == OpKind::Subtract {
        list.retain(|part| !operands.contains(part));
    } else {
        for part in operands {
            if !list.contains(&part) {
                list.push(part);
            }
        }
    }
    Ok(list.join(","))
}

fn find_key(resource: &ConfigResource, name: &str) -> Result<&'static ConfigKey, ItemError> {
    match resource {
        ConfigResource::Topic(_) => config_catalogue::topic_key(name),
        ConfigResource::Broker(_) => config_catalogue::broker_key(name),
        ConfigResource::Group(_) => config_catalogue::group_key(name),
    }
    .ok_or_else(|| config_catalogue::unknown_name(name))
}

fn operand<'a>(name: &str, value: &'a Option<String>) -> Result<&'a str, ItemError> {
    value.as_deref().ok_or_else(|| {
        ItemError::new(
            ErrorCode::INVALID_REQUEST,
            format!("null value not supported for {name:?}; delete it instead"),
        )
    })
}

fn refuse_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), ItemError> {
    match repeated(names).first() {
        Some(name) => Err(ItemError::new(
            ErrorCode::INVALID_REQUEST,
            format!("configuration {name:?} is named more than once"),
        )),
        None => Ok(()),
    }
}

fn invalid(message: String) -> ItemError {
    ItemError::new(ErrorCode::INVALID_CONFIG, message)
}
