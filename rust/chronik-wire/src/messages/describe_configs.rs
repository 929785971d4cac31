//! DescribeConfigs (key 32), versions 1-4. Versions: 3 types and documentation · 4 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks for configuration.
    pub struct DescribeConfigsRequest [1..=4, flexible 4..] {
        /// The resources asked about.
        resources: Vec<DescribeConfigsResource> [1..],
        /// Whether to list where else each value could come from.
        include_synonyms: bool [1..],
        /// Whether to explain each key.
        include_documentation: bool [3..],
    }

    /// A resource asked about.
    pub struct DescribeConfigsResource {
        /// 2 for a topic, 4 for a broker.
        resource_type: i8 [1..],
        /// The topic's name or the broker's id.
        resource_name: String [1..],
        /// The keys asked about; null asks for all.
        configuration_keys: Option<Vec<String>> [1..],
    }

    /// The configuration asked for.
    pub struct DescribeConfigsResponse [1..=4, flexible 4..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// One result per resource.
        results: Vec<DescribeConfigsResult> [1..],
    }

    /// The configuration of one resource.
    pub struct DescribeConfigsResult {
        /// An error of this resource.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// 2 for a topic, 4 for a broker.
        resource_type: i8 [1..],
        /// The topic's name or the broker's id.
        resource_name: String [1..],
        /// The entries.
        configs: Vec<DescribeConfigsResourceResult> [1..],
    }

    /// One configuration entry.
    pub struct DescribeConfigsResourceResult {
        /// The key.
        name: String [1..],
        /// The value; null when it is secret.
        value: Option<String> [1..],
        /// Whether it cannot be changed.
        read_only: bool [1..],
        /// Where the value comes from: 1 topic, 2 broker, 4 static broker configuration, 5 default.
        config_source: i8 [1..] = -1,
        /// Whether the value is secret.
        is_sensitive: bool [1..],
        /// Where else the value could come from.
        synonyms: Vec<DescribeConfigsSynonym> [1..],
        /// The value's type: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        config_type: i8 [3..],
        /// What the key means.
        documentation: Option<String> [3..],
    }

    /// Another source of a value.
    pub struct DescribeConfigsSynonym {
        /// The key there.
        name: String [1..],
        /// The value there.
        value: Option<String> [1..],
        /// Which source it is.
        source: i8 [1..],
    }
}
