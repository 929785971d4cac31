//! AlterUserScramCredentials (key 51), version 0: sets and removes SCRAM credentials of users.

use bytes::Bytes;

use crate::error_code::ErrorCode;

message! {
    /// Asks to change credentials.
    pub struct AlterUserScramCredentialsRequest [0..=0, flexible 0..] {
        /// The credentials to remove.
        deletions: Vec<ScramCredentialDeletion> [0..],
        /// The credentials to set.
        upsertions: Vec<ScramCredentialUpsertion> [0..],
    }

    /// A credential to remove.
    pub struct ScramCredentialDeletion {
        /// The user's name.
        name: String [0..],
        /// 1 for SCRAM-SHA-256, 2 for SCRAM-SHA-512.
        mechanism: i8 [0..],
    }

    /// A credential to set.
    pub struct ScramCredentialUpsertion {
        /// The user's name.
        name: String [0..],
        /// 1 for SCRAM-SHA-256, 2 for SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// The number of iterations.
        iterations: i32 [0..],
        /// The salt.
        salt: Bytes [0..],
        /// The salted password.
        salted_password: Bytes [0..],
    }

    /// What became of the changes.
    pub struct AlterUserScramCredentialsResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// One result per user.
        results: Vec<AlterUserScramCredentialsResult> [0..],
    }

    /// What became of one user.
    pub struct AlterUserScramCredentialsResult {
        /// The user's name.
        user: String [0..],
        /// An error of this user.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
