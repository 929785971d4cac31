//! Kafka's error codes. Which code a failure gets is not decided here.

use std::fmt;

/// An error code as it travels: any 16-bit number, since a newer peer may send one without a name here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ErrorCode(pub i16);

macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!($text, " (", $code, ").")]
            pub const $name: ErrorCode = ErrorCode($code);)*

            /// Every code that has a name.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];

            /// Kafka's name of the code, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(ErrorCode::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    UNKNOWN_SERVER_ERROR = -1, "The server met an unexpected error";
    NONE = 0, "No error";
    OFFSET_OUT_OF_RANGE = 1, "The offset is outside the range the partition holds";
    CORRUPT_MESSAGE = 2, "The message fails its checksum or is otherwise corrupt";
    UNKNOWN_TOPIC_OR_PARTITION = 3, "The broker does not host this topic or partition";
    INVALID_FETCH_SIZE = 4, "The fetch size is invalid";
    LEADER_NOT_AVAILABLE = 5, "There is no leader, an election is under way";
    NOT_LEADER_OR_FOLLOWER = 6, "The broker is neither leader nor follower of the partition";
    REQUEST_TIMED_OUT = 7, "The request timed out";
    BROKER_NOT_AVAILABLE = 8, "The broker is not available";
    REPLICA_NOT_AVAILABLE = 9, "The replica is not available";
    MESSAGE_TOO_LARGE = 10, "The message is larger than the broker accepts";
    STALE_CONTROLLER_EPOCH = 11, "The controller moved to another broker";
    OFFSET_METADATA_TOO_LARGE = 12, "The metadata of an offset commit is too large";
    NETWORK_EXCEPTION = 13, "The server disconnected before it answered";
    COORDINATOR_LOAD_IN_PROGRESS = 14, "The coordinator is loading";
    COORDINATOR_NOT_AVAILABLE = 15, "The coordinator is not available";
    NOT_COORDINATOR = 16, "This broker is not the coordinator";
    INVALID_TOPIC_EXCEPTION = 17, "The topic name is not allowed";
    RECORD_LIST_TOO_LARGE = 18, "The records are larger than a segment";
    NOT_ENOUGH_REPLICAS = 19, "There are fewer in-sync replicas than required";
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, "The records were written, but to fewer replicas than required";
    INVALID_REQUIRED_ACKS = 21, "The value of acks is invalid";
    ILLEGAL_GENERATION = 22, "The group has another generation";
    INCONSISTENT_GROUP_PROTOCOL = 23, "The member's protocols do not match the group's";
    INVALID_GROUP_ID = 24, "The group id is invalid";
    UNKNOWN_MEMBER_ID = 25, "The coordinator does not know this member";
    INVALID_SESSION_TIMEOUT = 26, "The session timeout is outside the allowed range";
    REBALANCE_IN_PROGRESS = 27, "The group is rebalancing, join again";
    INVALID_COMMIT_OFFSET_SIZE = 28, "The offset commit is too large";
    TOPIC_AUTHORIZATION_FAILED = 29, "Not authorized to access the topic";
    GROUP_AUTHORIZATION_FAILED = 30, "Not authorized to access the group";
    CLUSTER_AUTHORIZATION_FAILED = 31, "Not authorized to act on the cluster";
    INVALID_TIMESTAMP = 32, "The timestamp is out of the acceptable range";
    UNSUPPORTED_SASL_MECHANISM = 33, "The broker does not support this SASL mechanism";
    ILLEGAL_SASL_STATE = 34, "The request is not valid in this SASL state";
    UNSUPPORTED_VERSION = 35, "The version of the API is not supported";
    TOPIC_ALREADY_EXISTS = 36, "A topic of this name exists";
    INVALID_PARTITIONS = 37, "The number of partitions is invalid";
    INVALID_REPLICATION_FACTOR = 38, "The replication factor is invalid";
    INVALID_REPLICA_ASSIGNMENT = 39, "The replica assignment is invalid";
    INVALID_CONFIG = 40, "The configuration is invalid";
    NOT_CONTROLLER = 41, "This broker is not the controller";
    INVALID_REQUEST = 42, "The request is malformed or does not fit its protocol";
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, "The message format does not support the request";
    POLICY_VIOLATION = 44, "The request violates a policy";
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, "The producer's sequence number is out of order";
    DUPLICATE_SEQUENCE_NUMBER = 46, "The producer's sequence number was seen before";
    INVALID_PRODUCER_EPOCH = 47, "The producer's epoch is old";
    INVALID_TXN_STATE = 48, "The transaction is in no state for this operation";
    INVALID_PRODUCER_ID_MAPPING = 49, "The producer id does not belong to the transactional id";
    INVALID_TRANSACTION_TIMEOUT = 50, "The transaction timeout is larger than allowed";
    CONCURRENT_TRANSACTIONS = 51, "Another operation of this transaction is under way";
    TRANSACTION_COORDINATOR_FENCED = 52, "The transaction coordinator is no longer current";
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, "Not authorized for the transactional id";
    SECURITY_DISABLED = 54, "Security features are disabled";
    OPERATION_NOT_ATTEMPTED = 55, "The operation was not attempted";
    KAFKA_STORAGE_ERROR = 56, "The log directory cannot be accessed";
    LOG_DIR_NOT_FOUND = 57, "There is no such log directory";
    SASL_AUTHENTICATION_FAILED = 58, "SASL authentication failed";
    UNKNOWN_PRODUCER_ID = 59, "The producer id is unknown";
    REASSIGNMENT_IN_PROGRESS = 60, "A partition reassignment is under way";
    DELEGATION_TOKEN_AUTH_DISABLED = 61, "Delegation tokens are disabled";
    DELEGATION_TOKEN_NOT_FOUND = 62, "There is no such delegation token";
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, "The principal may not act on the delegation token";
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64, "Delegation tokens are not allowed on this connection";
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, "Not authorized for the delegation token";
    DELEGATION_TOKEN_EXPIRED = 66, "The delegation token has expired";
    INVALID_PRINCIPAL_TYPE = 67, "The principal type is not supported";
    NON_EMPTY_GROUP = 68, "The group is not empty";
    GROUP_ID_NOT_FOUND = 69, "There is no such group";
    FETCH_SESSION_ID_NOT_FOUND = 70, "There is no such fetch session";
    INVALID_FETCH_SESSION_EPOCH = 71, "The epoch of the fetch session is wrong";
    LISTENER_NOT_FOUND = 72, "The leader has no listener of this name";
    TOPIC_DELETION_DISABLED = 73, "Deleting topics is disabled";
    FENCED_LEADER_EPOCH = 74, "The client's leader epoch is older than the broker's";
    UNKNOWN_LEADER_EPOCH = 75, "The client's leader epoch is newer than the broker's";
    UNSUPPORTED_COMPRESSION_TYPE = 76, "The client does not support the compression type";
    STALE_BROKER_EPOCH = 77, "The broker's epoch has changed";
    OFFSET_NOT_AVAILABLE = 78, "The high watermark has not caught up yet";
    MEMBER_ID_REQUIRED = 79, "The member must join again with the id it was given";
    PREFERRED_LEADER_NOT_AVAILABLE = 80, "The preferred leader is not available";
    GROUP_MAX_SIZE_REACHED = 81, "The group is full";
    FENCED_INSTANCE_ID = 82, "Another member uses this static instance id";
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, "No eligible leader is available";
    ELECTION_NOT_NEEDED = 84, "The partition needs no election";
    NO_REASSIGNMENT_IN_PROGRESS = 85, "No reassignment is under way";
    GROUP_SUBSCRIBED_TO_TOPIC = 86, "The group is subscribed to the topic";
    INVALID_RECORD = 87, "A record failed validation";
    UNSTABLE_OFFSET_COMMIT = 88, "There are offsets of an open transaction";
    THROTTLING_QUOTA_EXCEEDED = 89, "The throttling quota is exceeded";
    PRODUCER_FENCED = 90, "A newer producer uses the transactional id";
    RESOURCE_NOT_FOUND = 91, "There is no such resource";
    DUPLICATE_RESOURCE = 92, "The resource exists";
    UNACCEPTABLE_CREDENTIAL = 93, "The credential does not meet the requirements";
    INCONSISTENT_VOTER_SET = 94, "The voters do not match";
    INVALID_UPDATE_VERSION = 95, "The update's version is invalid";
    FEATURE_UPDATE_FAILED = 96, "The features could not be updated";
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, "A forwarded principal could not be read";
    SNAPSHOT_NOT_FOUND = 98, "There is no such snapshot";
    POSITION_OUT_OF_RANGE = 99, "The position is outside the snapshot";
    UNKNOWN_TOPIC_ID = 100, "The broker does not host this topic id";
    DUPLICATE_BROKER_REGISTRATION = 101, "The broker id is in use";
    BROKER_ID_NOT_REGISTERED = 102, "The broker id is not registered";
    INCONSISTENT_TOPIC_ID = 103, "The log's topic id does not match the request's";
    INCONSISTENT_CLUSTER_ID = 104, "The cluster id does not match";
    TRANSACTIONAL_ID_NOT_FOUND = 105, "There is no such transactional id";
    FETCH_SESSION_TOPIC_ID_ERROR = 106, "The fetch session uses topic ids inconsistently";
    INELIGIBLE_REPLICA = 107, "A replica may not join the in-sync set";
    NEW_LEADER_ELECTED = 108, "The change elected another leader";
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, "The offset moved to tiered storage";
    FENCED_MEMBER_EPOCH = 110, "The member's epoch is fenced";
    UNRELEASED_INSTANCE_ID = 111, "The instance id is still in use";
    UNSUPPORTED_ASSIGNOR = 112, "The assignor is not supported";
    STALE_MEMBER_EPOCH = 113, "The member's epoch is old";
    MISMATCHED_ENDPOINT_TYPE = 114, "The request went to an endpoint of the wrong type";
    UNSUPPORTED_ENDPOINT_TYPE = 115, "The endpoint type is unknown";
    UNKNOWN_CONTROLLER_ID = 116, "The controller id is unknown";
    UNKNOWN_SUBSCRIPTION_ID = 117, "The telemetry subscription is unknown";
    TELEMETRY_TOO_LARGE = 118, "The telemetry is too large";
    INVALID_REGISTRATION = 119, "The registration is invalid";
    TRANSACTION_ABORTABLE = 120, "The transaction failed and must be aborted";
    INVALID_RECORD_STATE = 121, "The record is in no state for this acknowledgement";
    SHARE_SESSION_NOT_FOUND = 122, "There is no such share session";
    INVALID_SHARE_SESSION_EPOCH = 123, "The epoch of the share session is wrong";
    FENCED_STATE_EPOCH = 124, "The share state's epoch is fenced";
    INVALID_VOTER_KEY = 125, "The voter key does not match";
    DUPLICATE_VOTER = 126, "The voter is already in the set";
    VOTER_NOT_FOUND = 127, "The voter is not in the set";
    INVALID_REGULAR_EXPRESSION = 128, "The regular expression is invalid";
    REBOOTSTRAP_REQUIRED = 129, "The client must bootstrap again";
    STREAMS_INVALID_TOPOLOGY = 130, "The topology is invalid";
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131, "The topology epoch is invalid";
    STREAMS_TOPOLOGY_FENCED = 132, "The topology epoch is old";
    SHARE_SESSION_LIMIT_REACHED = 133, "The limit of share sessions is reached";
}

impl ErrorCode {
    /// Whether this is [`ErrorCode::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether this is an error.
    pub const fn is_error(self) -> bool {
        self.0 != 0
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> i16 {
        code.0
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "error {}", self.0),
        }
    }
}
