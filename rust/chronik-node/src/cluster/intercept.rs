//! Requests of clients that a test wants counted, delayed or refused.

use chronik_broker::coord::config_catalogue::nearest_among;
use chronik_broker::{Interception, InterceptionRule};
use chronik_wire::api::ApiKey;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;

use super::{Cluster, ClusterError};

/// Which requests, and what to do with them, in the words of Kafka.
#[derive(Debug, Clone, Default)]
pub struct Intercept {
    /// The API by its name (`Produce`, whatever the case) or number.
    pub api: String,
    /// Only requests that concern this topic.
    pub topic: Option<String>,
    /// Only requests to this node.
    pub node: Option<NodeId>,
    /// What to refuse them with: the error's name (`NOT_LEADER_OR_FOLLOWER`) or number. Without it they are served.
    pub error: Option<String>,
    /// How long each waits first, in milliseconds.
    pub delay_ms: u64,
    /// How many; without it all until the interception is removed.
    pub times: Option<u64>,
}

impl Cluster {
    /// Counts, delays or refuses requests of clients from now on, at every node, whatever restarts meanwhile. Several
    /// that fit one request count it all; their delays add up and the oldest error is the answer.
    ///
    /// # Errors
    /// A name that Kafka does not have, or a rule that could never strike.
    pub fn intercept(&self, wanted: &Intercept) -> Result<Interception, ClusterError> {
        if let Some(node) = wanted.node {
            self.record(node)?;
        }
        let rule = InterceptionRule {
            api: api(&wanted.api)?,
            topic: wanted.topic.clone(),
            node: wanted.node,
            error: wanted.error.as_deref().map(error_code).transpose()?,
            delay_ms: wanted.delay_ms,
            times: wanted.times,
        };
        self.interceptions.add(rule).map_err(|error| ClusterError::InvalidOption(error.to_string()))
    }
}

fn api(text: &str) -> Result<ApiKey, ClusterError> {
    let is_meant = |api: &ApiKey| api.name().eq_ignore_ascii_case(text) || text.parse() == Ok(*api as i16);
    ApiKey::ALL.iter().copied().find(is_meant).ok_or_else(|| {
        let near = nearest_among(text, ApiKey::ALL.iter().map(|api| api.name()));
        unknown("api", text, near, "a name of Kafka's protocol, such as \"Produce\", or its number")
    })
}

fn error_code(text: &str) -> Result<ErrorCode, ClusterError> {
    let is_meant = |code: &ErrorCode| {
        let name = code.name().unwrap_or_default();
        *code != ErrorCode::NONE && (name.eq_ignore_ascii_case(text) || text.parse() == Ok(code.0))
    };
    ErrorCode::ALL.iter().copied().find(is_meant).ok_or_else(|| {
        let near = nearest_among(text, ErrorCode::ALL.iter().filter_map(|code| code.name()));
        let allowed =
            "a name of Kafka's error codes, such as \"NOT_LEADER_OR_FOLLOWER\", or its number, not 0";
        unknown("error", text, near, allowed)
    })
}

fn unknown(argument: &str, text: &str, near: Option<&str>, allowed: &str) -> ClusterError {
    let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    ClusterError::InvalidOption(format!("{argument}={text:?} is unknown{hint}; allowed is {allowed}"))
}
