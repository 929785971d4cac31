//! DescribeAcls, CreateAcls and DeleteAcls.

use std::collections::BTreeMap;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::create_acls::AclCreation;
use chronik_wire::messages::delete_acls::DeleteAclsFilter;
use chronik_wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};
use chronik_wire::types::NodeId;

use crate::harness::{Options, TestCluster};

const ANY: i8 = 1;
const TOPIC: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const READ: i8 = 3;
const ALLOW: i8 = 3;

fn authorized() -> TestCluster {
    let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned();
    let config = BTreeMap::from([("authorizer.class.name".to_owned(), authorizer)]);
    TestCluster::start(3, &Options { config, ..Options::default() })
}

fn creation(pattern: i8, name: &str) -> AclCreation {
    AclCreation {
        resource_type: TOPIC,
        resource_name: name.to_owned(),
        resource_pattern_type: pattern,
        principal: "User:test".to_owned(),
        host: "*".to_owned(),
        operation: READ,
        permission_type: ALLOW,
    }
}

fn create(cluster: &mut TestCluster, node: i32, creations: Vec<AclCreation>) -> Vec<ErrorCode> {
    let response = cluster.call(NodeId(node), 3, &CreateAclsRequest { creations });
    response.results.into_iter().map(|result| result.error_code).collect()
}

fn describe(cluster: &mut TestCluster, node: i32, principal: Option<&str>) -> (ErrorCode, Vec<String>) {
    let request = DescribeAclsRequest {
        resource_type_filter: TOPIC,
        pattern_type_filter: ANY,
        principal_filter: principal.map(str::to_owned),
        operation: ANY,
        permission_type: ANY,
        ..DescribeAclsRequest::default()
    };
    let response = cluster.call(NodeId(node), 3, &request);
    let shown = response.resources.iter().flat_map(|resource| {
        resource.acls.iter().map(|acl| format!("{} {}", resource.resource_name, acl.principal))
    });
    (response.error_code, shown.collect())
}

fn filter(pattern: i8, operation: i8) -> DeleteAclsFilter {
    DeleteAclsFilter {
        resource_type_filter: TOPIC,
        pattern_type_filter: pattern,
        operation,
        permission_type: ANY,
        ..DeleteAclsFilter::default()
    }
}

#[test]
fn entries_are_kept_shown_at_every_node_and_removed() {
    let mut cluster = authorized();
    assert_eq!(describe(&mut cluster, 1, None), (ErrorCode::NONE, vec![]));
    let bad = AclCreation { operation: ANY, ..creation(LITERAL, "a") };
    let codes = create(&mut cluster, 2, vec![creation(LITERAL, "a"), bad, creation(PREFIXED, "b")]);
    assert_eq!(codes, [ErrorCode::NONE, ErrorCode::INVALID_REQUEST, ErrorCode::NONE]);
    for node in 1..=3 {
        let shown = vec!["a User:test".to_owned(), "b User:test".to_owned()];
        assert_eq!(describe(&mut cluster, node, Some("User:test")), (ErrorCode::NONE, shown));
        assert_eq!(describe(&mut cluster, node, Some("*")), (ErrorCode::NONE, vec![]));
    }
    let filters = vec![filter(PREFIXED, 0), filter(PREFIXED, READ), filter(ANY, ANY)];
    let response = cluster.call(NodeId(3), 3, &DeleteAclsRequest { filters });
    let results: Vec<_> = response
        .filter_results
        .iter()
        .map(|result| {
            (
                result.error_code,
                result.matching_acls.iter().map(|acl| acl.resource_name.as_str()).collect::<Vec<_>>(),
            )
        })
        .collect();
    let none = ErrorCode::NONE;
    assert_eq!(results, [(ErrorCode::INVALID_REQUEST, vec![]), (none, vec!["b"]), (none, vec!["a"])]);
    assert_eq!(describe(&mut cluster, 1, None), (none, vec![]));
}

#[test]
fn without_an_authorizer_there_are_no_entries() {
    let mut cluster = TestCluster::start(3, &Options::default());
    let disabled = ErrorCode::SECURITY_DISABLED;
    assert_eq!(describe(&mut cluster, 1, None), (disabled, vec![]));
    assert_eq!(create(&mut cluster, 1, vec![creation(LITERAL, "a")]), [disabled]);
    let response = cluster.call(NodeId(1), 3, &DeleteAclsRequest { filters: vec![filter(ANY, ANY)] });
    assert_eq!(response.filter_results[0].error_code, disabled);
}
