//! DescribeConfigs (key 32), versions 1-4.
//!
//! Behaviour: passes the gate of the metadata group; every key that Kafka 4 knows for a topic, a broker or a group,
//! with the value in force here and where it comes from; a group need not exist. A broker's configuration is answered by that broker alone; the empty
//! name asks for the cluster-wide overrides. Secrets have no value. Each resource fails on its own; 5 if the gate fails.
//! Versions: 3 types, documentation · 4 flexible.
//! Not done: broker loggers, client metrics (42).
//! Tests: tests/configs.rs.

use std::collections::BTreeMap;

use chronik_coord::config_catalogue::{self, ConfigKey, Scope};
use chronik_coord::{ConfigSource, ConfigSynonym, ItemError, ResolvedConfig};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::{Answer, Context};
use crate::cluster_picture::{ClusterPicture, unknown_name};
use crate::config::BrokerConfig;
use crate::config_admin::{BROKER, GROUP, TOPIC};
use crate::connection::CloseReason;
use crate::limits;

pub(crate) async fn handle(
    context: Context,
    request: DescribeConfigsRequest,
) -> Answer<DescribeConfigsResponse> {
    if request.resources.len() > limits::METADATA_TOPICS_MAX {
        return Err(CloseReason::Unanswerable("a request names too many resources"));
    }
    let picture = ClusterPicture::take(&context).await;
    let statics = shown_statics(&context.broker.node.config);
    let one = |resource: &DescribeConfigsResource| {
        let (error_code, error_message, configs) = match describe(&context, &picture, &statics, resource) {
            Ok(found) => {
                (ErrorCode::NONE, None, found.into_iter().map(|entry| show(&request, entry)).collect())
            }
            Err(error) => (error.code, Some(error.message), Vec::new()),
        };
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
        }
    };
    let results = request.resources.iter().map(one).collect();
    Ok(Some(DescribeConfigsResponse { throttle_time_ms: 0, results }))
}

/// A key with its value in force.
struct Entry {
    key: &'static ConfigKey,
    resolved: ResolvedConfig,
    read_only: bool,
}

fn describe(
    context: &Context,
    picture: &ClusterPicture,
    statics: &BTreeMap<String, String>,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Entry>, ItemError> {
    if !picture.confirmed {
        return Err(refusal(
            ErrorCode::LEADER_NOT_AVAILABLE,
            "the metadata cannot be confirmed; ask another node",
        ));
    }
    let entries = match resource.resource_type {
        TOPIC => topic_entries(context, picture, statics, &resource.resource_name)?,
        BROKER => broker_entries(context, picture, statics, &resource.resource_name)?,
        GROUP => group_entries(context, picture, statics, &resource.resource_name)?,
        other => {
            let message = format!(
                "resource type {other} has no configuration here; ask for 2 (topic), 4 (broker) or 32 (group)"
            );
            return Err(refusal(ErrorCode::INVALID_REQUEST, &message));
        }
    };
    let wanted = resource.configuration_keys.as_ref().filter(|names| !names.is_empty());
    let is_wanted = |entry: &Entry| match wanted {
        Some(names) => names.iter().any(|name| name == entry.key.name),
        None => !entry.key.is_internal() || entry.resolved.is_set(),
    };
    Ok(entries.into_iter().filter(is_wanted).collect())
}

fn topic_entries(
    context: &Context,
    picture: &ClusterPicture,
    statics: &BTreeMap<String, String>,
    name: &str,
) -> Result<Vec<Entry>, ItemError> {
    let node = context.broker.node.config.node;
    let topic = picture
        .image
        .topic(name)
        .ok_or_else(|| refusal(unknown_name(name), &format!("topic {name:?} does not exist")))?;
    let entry = |key: &'static ConfigKey| {
        let resolved = picture.image.topic_config(topic, key.name, node, statics)?;
        Some(Entry { key, resolved, read_only: false })
    };
    Ok(config_catalogue::topic_keys().iter().filter_map(entry).collect())
}

fn broker_entries(
    context: &Context,
    picture: &ClusterPicture,
    statics: &BTreeMap<String, String>,
    name: &str,
) -> Result<Vec<Entry>, ItemError> {
    let node = context.broker.node.config.node;
    if name.is_empty() {
        return Ok(cluster_entries(picture));
    }
    if name.parse() != Ok(node.0) {
        let message = format!("this is broker {node}; broker {name:?} is asked at its own address");
        return Err(refusal(ErrorCode::INVALID_REQUEST, &message));
    }
    let entry = |key: &'static ConfigKey| {
        let resolved = picture.image.broker_config(key.name, node, statics)?;
        Some(Entry { key, resolved, read_only: key.scope == Scope::ReadOnly })
    };
    Ok(config_catalogue::broker_keys().iter().filter_map(entry).collect())
}

fn group_entries(
    context: &Context,
    picture: &ClusterPicture,
    statics: &BTreeMap<String, String>,
    name: &str,
) -> Result<Vec<Entry>, ItemError> {
    if name.is_empty() {
        return Err(refusal(ErrorCode::INVALID_REQUEST, "the name of a group must not be empty"));
    }
    let node = context.broker.node.config.node;
    let entry = |key: &'static ConfigKey| {
        let resolved = picture.image.group_config(name, key.name, node, statics)?;
        Some(Entry { key, resolved, read_only: false })
    };
    Ok(config_catalogue::group_keys().iter().filter_map(entry).collect())
}

/// The overrides that hold for all brokers; nothing else is known of "all".
fn cluster_entries(picture: &ClusterPicture) -> Vec<Entry> {
    let overrides = picture.image.broker_overrides(None).iter();
    overrides
        .filter_map(|(name, value)| {
            let source = ConfigSource::DynamicDefaultBroker;
            let synonym = ConfigSynonym { name: name.clone(), value: Some(value.clone()), source };
            let resolved = ResolvedConfig { value: Some(value.clone()), source, synonyms: vec![synonym] };
            Some(Entry { key: config_catalogue::broker_key(name)?, resolved, read_only: false })
        })
        .collect()
}

/// What this node was started with, with what the edge has settled for it.
fn shown_statics(config: &BrokerConfig) -> BTreeMap<String, String> {
    let mut statics = config.broker_config.clone();
    let address = format!("PLAINTEXT://{}:{}", config.advertised.host, config.advertised.port);
    let settled = [
        ("node.id", Some(config.node.to_string())),
        ("broker.id", Some(config.node.to_string())),
        ("broker.rack", config.rack.clone()),
        ("listeners", Some(address.clone())),
        ("advertised.listeners", Some(address)),
        ("chronik.fetch.from.followers", Some(config.fetch_from_followers.to_string())),
        ("chronik.fetch.follower.max.wait.ms", Some(config.gate_cap_ms.to_string())),
    ];
    for (name, value) in settled {
        if let Some(value) = value {
            statics.entry(name.to_owned()).or_insert(value);
        }
    }
    statics
}

fn show(request: &DescribeConfigsRequest, entry: Entry) -> DescribeConfigsResourceResult {
    let Entry { key, resolved, read_only } = entry;
    let shown = |value: Option<String>| if key.sensitive { None } else { value };
    let synonyms = if request.include_synonyms { resolved.synonyms } else { Vec::new() };
    let synonym = |synonym: ConfigSynonym| DescribeConfigsSynonym {
        name: synonym.name,
        value: shown(synonym.value),
        source: synonym.source as i8,
    };
    DescribeConfigsResourceResult {
        name: key.name.to_owned(),
        value: shown(resolved.value),
        read_only,
        config_source: resolved.source as i8,
        is_sensitive: key.sensitive,
        synonyms: synonyms.into_iter().map(synonym).collect(),
        config_type: key.kind as i8,
        documentation: request.include_documentation.then(|| key.documentation()),
    }
}

fn refusal(code: ErrorCode, message: &str) -> ItemError {
    ItemError { code, message: message.to_owned() }
}
