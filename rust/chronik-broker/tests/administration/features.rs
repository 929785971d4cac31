//! Features, and users with credentials, of which there are none.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_user_scram_credentials::UserName;
use chronik_wire::messages::update_features::FeatureUpdateKey;
use chronik_wire::messages::{
    ApiVersionsRequest, DescribeUserScramCredentialsRequest, UpdateFeaturesRequest,
};
use chronik_wire::types::NodeId;

use crate::harness::{Options, TestCluster};

const NODE: NodeId = NodeId(2);

fn update(feature: &str, level: i16) -> UpdateFeaturesRequest {
    let update =
        FeatureUpdateKey { feature: feature.to_owned(), max_version_level: level, ..Default::default() };
    UpdateFeaturesRequest { feature_updates: vec![update], ..UpdateFeaturesRequest::default() }
}

#[test]
fn features_are_those_that_work_and_stay_at_their_level() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let versions = cluster.call(NODE, 4, &ApiVersionsRequest::default());
    let offers = |key: i16| versions.api_keys.iter().any(|api| api.api_key == key);
    let finalized: Vec<_> = versions
        .finalized_features
        .iter()
        .map(|feature| (feature.name.as_str(), feature.max_version_level))
        .collect();
    let expected = [
        ("group.version", 1, offers(68)),
        ("metadata.version", 30, true),
        ("share.version", 1, offers(76)),
        ("transaction.version", 2, offers(26)),
    ];
    let expected: Vec<_> =
        expected.into_iter().filter(|(_, _, works)| *works).map(|(name, level, _)| (name, level)).collect();
    assert_eq!(finalized, expected);
    assert_eq!(versions.supported_features.len(), expected.len());
    assert!(versions.finalized_features_epoch >= 0, "or clients would not believe the list");

    let invalid = ErrorCode::INVALID_UPDATE_VERSION;
    for (feature, level, code) in [
        ("metadata.version", 30, ErrorCode::NONE),
        ("metadata.version", 29, invalid),
        ("no.such", 1, invalid),
    ] {
        for version in 0..=1 {
            let response = cluster.call(NODE, version, &update(feature, level));
            assert_eq!((response.error_code, response.results[0].error_code), (ErrorCode::NONE, code));
        }
        assert_eq!(cluster.call(NODE, 2, &update(feature, level)).error_code, code);
    }
}

#[test]
fn nobody_has_credentials() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let mut ask = |users: Option<&[&str]>| {
        let user = |name: &&str| UserName { name: (*name).to_owned() };
        let users = users.map(|users| users.iter().map(user).collect());
        let response = cluster.call(NODE, 0, &DescribeUserScramCredentialsRequest { users });
        assert_eq!(response.error_code, ErrorCode::NONE);
        response.results.into_iter().map(|result| (result.user, result.error_code)).collect::<Vec<_>>()
    };
    assert_eq!(ask(None), []);
    let (absent, twice) = (ErrorCode::RESOURCE_NOT_FOUND, ErrorCode::DUPLICATE_RESOURCE);
    assert_eq!(ask(Some(&["b", "a", "b"])), [("a".to_owned(), absent), ("b".to_owned(), twice)]);
}
