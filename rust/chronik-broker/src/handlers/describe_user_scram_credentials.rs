//! DescribeUserScramCredentials (key 50), version 0.
//!
//! Behaviour: no user has credentials: asked about all, none is listed; a user asked about is 91, one named twice 92.
//! Not done: credentials cannot be set; there is no SASL.
//! Tests: tests/administration/features.rs.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};

use super::{Answer, Context};

pub(crate) async fn handle(
    _context: Context,
    request: DescribeUserScramCredentialsRequest,
) -> Answer<DescribeUserScramCredentialsResponse> {
    let users = request.users.unwrap_or_default();
    let mut named: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for user in &users {
        *named.entry(&user.name).or_default() += 1;
    }
    let result = |(name, times): (&str, usize)| {
        let (error_code, message) = if times > 1 {
            (ErrorCode::DUPLICATE_RESOURCE, "the user is named more than once")
        } else {
            (ErrorCode::RESOURCE_NOT_FOUND, "the user has no credentials")
        };
        DescribeUserScramCredentialsResult {
            user: name.to_owned(),
            error_code,
            error_message: Some(message.to_owned()),
            credential_infos: Vec::new(),
        }
    };
    let results = named.into_iter().map(result).collect();
    Ok(Some(DescribeUserScramCredentialsResponse { results, ..Default::default() }))
}
