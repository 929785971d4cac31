//! DescribeAcls (key 29), versions 1-3.
//!
//! Behaviour: the entries that match, by resource, as of the metadata gate. Without an authorizer 54; a filter with numbers
//! that Kafka does not have is 42.
//! Versions: 2 flexible · 3 user resources.
//! Tests: tests/administration/acls.rs.

use chronik_coord::{AclFilter, ItemError};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_acls::{
    AclDescription, DescribeAclsRequest, DescribeAclsResource, DescribeAclsResponse,
};

use super::{Answer, Context};
use crate::acl_admin::{StatedFilter, shown_numbers};
use crate::cluster_picture::ClusterPicture;

pub(crate) async fn handle(context: Context, request: DescribeAclsRequest) -> Answer<DescribeAclsResponse> {
    Ok(Some(match describe(&context, request).await {
        Ok(resources) => DescribeAclsResponse { resources, ..DescribeAclsResponse::default() },
        Err(error) => DescribeAclsResponse {
            error_code: error.code,
            error_message: Some(error.message),
            ..DescribeAclsResponse::default()
        },
    }))
}

async fn describe(
    context: &Context,
    request: DescribeAclsRequest,
) -> Result<Vec<DescribeAclsResource>, ItemError> {
    context.authorizer()?;
    let filter: AclFilter = StatedFilter {
        resource_type: request.resource_type_filter,
        pattern_type: request.pattern_type_filter,
        resource_name: request.resource_name_filter,
        principal: request.principal_filter,
        host: request.host_filter,
        operation: request.operation,
        permission: request.permission_type,
    }
    .read()?;
    let picture = ClusterPicture::take(context).await;
    if !picture.confirmed {
        let message = "the metadata cannot be confirmed; ask another node".to_owned();
        return Err(ItemError { code: ErrorCode::LEADER_NOT_AVAILABLE, message });
    }
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    // Entries are ordered by resource.
    for acl in picture.image.acls.iter().filter(|acl| filter.matches(acl)) {
        let [resource_type, pattern_type, operation, permission_type] = shown_numbers(acl);
        let same = |last: &&mut DescribeAclsResource| {
            (last.resource_type, last.pattern_type) == (resource_type, pattern_type)
                && last.resource_name == acl.resource_name
        };
        let description = AclDescription {
            principal: acl.principal.clone(),
            host: acl.host.clone(),
            operation,
            permission_type,
        };
        match resources.last_mut().filter(same) {
            Some(last) => last.acls.push(description),
            None => resources.push(DescribeAclsResource {
                resource_type,
                resource_name: acl.resource_name.clone(),
                pattern_type,
                acls: vec![description],
            }),
        }
    }
    Ok(resources)
}
