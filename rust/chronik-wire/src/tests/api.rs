//! The table of APIs agrees with the messages and with the other implementation.

use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::HeaderVersion;

use crate::api::{ApiKey, Request};
use crate::for_each_api;
use crate::messages::*;

#[test]
fn header_versions_are_those_of_the_schema() {
    fn check<R: Request, TheirRequest: HeaderVersion, TheirResponse: HeaderVersion>() {
        for version in R::VERSIONS {
            let (request, response) =
                (R::KEY.request_header_version(version), R::KEY.response_header_version(version));
            assert_eq!(request, TheirRequest::header_version(version), "{} {version}", R::NAME);
            assert_eq!(response, TheirResponse::header_version(version), "{} {version}", R::NAME);
        }
    }
    let mut checked = Vec::new();
    macro_rules! each {
        ($request:ident, $response:ident) => {
            check::<$request, theirs::$request, theirs::$response>();
            checked.push($request::KEY);
        };
    }
    for_each_api!(each);
    assert_eq!(checked, ApiKey::ALL, "an api is missing from for_each_api");
}

#[test]
fn keys_are_unique_sorted_and_found_again() {
    assert!(ApiKey::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    for &api in ApiKey::ALL {
        assert_eq!(ApiKey::from_i16(api as i16), Some(api));
        assert_eq!(
            theirs::ApiKey::try_from(api as i16).map(|key| format!("{key:?}")),
            Ok(format!("{api:?}"))
        );
    }
    assert_eq!(ApiKey::from_i16(-1), None);
    assert_eq!(ApiKey::from_i16(7), None);
}

#[test]
fn produce_alone_advertises_more_than_it_decodes() {
    for &api in ApiKey::ALL {
        let same = api.versions() == api.layouts();
        assert_eq!(same, api != ApiKey::Produce, "{api}");
    }
    assert_eq!((ApiKey::Produce.versions(), ApiKey::Produce.layouts()), (0..=13, 3..=13));
}

#[test]
fn error_codes_are_those_of_the_schema() {
    use crate::error_code::ErrorCode;
    use kafka_protocol::ResponseError;

    for code in ErrorCode::ALL {
        let Some(theirs) = ResponseError::try_from_code(code.0) else {
            assert_eq!(*code, ErrorCode::NONE);
            continue;
        };
        if !matches!(theirs, ResponseError::Unknown(_)) {
            let shouted = shout(&format!("{theirs:?}"));
            assert_eq!(code.name(), Some(shouted.as_str()), "{code}");
        }
    }
    assert_eq!(ErrorCode(999).name(), None);
    assert_eq!(ErrorCode(999).to_string(), "error 999");
    assert_eq!(ErrorCode::OFFSET_NOT_AVAILABLE.to_string(), "OFFSET_NOT_AVAILABLE (78)");
}

/// `NotLeaderOrFollower` as `NOT_LEADER_OR_FOLLOWER`.
fn shout(name: &str) -> String {
    let mut shouted = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            shouted.push('_');
        }
        shouted.extend(letter.to_uppercase());
    }
    shouted
}
