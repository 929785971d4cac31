//! DescribeUserScramCredentials (key 50), version 0: which SCRAM credentials users have.

use crate::error_code::ErrorCode;

message! {
    /// Asks about users.
    pub struct DescribeUserScramCredentialsRequest [0..=0, flexible 0..] {
        /// The users; null or none asks for all.
        users: Option<Vec<UserName>> [0..],
    }

    /// A user asked about.
    pub struct UserName {
        /// The user's name.
        name: String [0..],
    }

    /// The users.
    pub struct DescribeUserScramCredentialsResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the request.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// One result per user.
        results: Vec<DescribeUserScramCredentialsResult> [0..],
    }

    /// One user.
    pub struct DescribeUserScramCredentialsResult {
        /// The user's name.
        user: String [0..],
        /// An error of this user.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The credentials.
        credential_infos: Vec<CredentialInfo> [0..],
    }

    /// One credential.
    pub struct CredentialInfo {
        /// 1 for SCRAM-SHA-256, 2 for SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// The number of iterations.
        iterations: i32 [0..],
    }
}
