//! Refusals of administrative requests.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::{
    alter_client_quotas, alter_configs, alter_partition_reassignments, alter_replica_log_dirs, api_versions,
    create_acls, create_partitions, create_topics, delete_acls, delete_topics, describe_acls,
    describe_client_quotas, describe_cluster, describe_configs, describe_log_dirs, describe_quorum,
    describe_user_scram_credentials, elect_leaders, incremental_alter_configs, list_config_resources,
    list_partition_reassignments, unregister_broker, update_features,
};
use chronik_wire::types::TopicId;

use super::refusal::{Named, Refusable, refused_as_a_whole};
use crate::topics::TopicName;

refused_as_a_whole! {
    api_versions::ApiVersionsRequest;
    describe_acls::DescribeAclsRequest;
    describe_client_quotas::DescribeClientQuotasRequest;
    describe_cluster::DescribeClusterRequest;
    describe_user_scram_credentials::DescribeUserScramCredentialsRequest;
    list_config_resources::ListConfigResourcesRequest;
    unregister_broker::UnregisterBrokerRequest;
    update_features::UpdateFeaturesRequest;
}

const TOPIC: i8 = 2;
const TOPIC_STATES_FROM: i16 = 6;
const WHOLE_ELECTION_ERROR_FROM: i16 = 1;
const WHOLE_LOG_DIRS_ERROR_FROM: i16 = 3;

/// The topics among the resources of a request about configuration.
fn topics_among<'a>(resources: impl Iterator<Item = (i8, &'a String)>) -> Named {
    Named::names(resources.filter(|(kind, _)| *kind == TOPIC).map(|(_, name)| name))
}

impl Refusable for create_topics::CreateTopicsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use create_topics::{CreatableTopicResult, CreateTopicsResponse};
        let topic = |asked: create_topics::CreatableTopic| CreatableTopicResult {
            name: asked.name,
            error_code,
            ..CreatableTopicResult::default()
        };
        CreateTopicsResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..CreateTopicsResponse::default()
        }
    }
}

impl Refusable for delete_topics::DeleteTopicsRequest {
    fn named(&self, version: i16) -> Named {
        if version < TOPIC_STATES_FROM {
            return Named::names(self.topic_names.iter());
        }
        let name = |topic: &delete_topics::DeleteTopicState| {
            TopicName::of(topic.name.is_none(), topic.name.as_deref().unwrap_or_default(), topic.topic_id)
        };
        Named::Topics(self.topics.iter().map(name).collect())
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use delete_topics::{DeletableTopicResult, DeleteTopicsResponse};
        let result = |name: Option<String>, topic_id: TopicId| DeletableTopicResult {
            name,
            topic_id,
            error_code,
            ..DeletableTopicResult::default()
        };
        let named = self.topic_names.into_iter().map(|name| result(Some(name), TopicId::ZERO));
        let states = self.topics.into_iter().map(|topic| result(topic.name, topic.topic_id));
        DeleteTopicsResponse { responses: named.chain(states).collect(), ..DeleteTopicsResponse::default() }
    }
}

impl Refusable for create_partitions::CreatePartitionsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use create_partitions::{CreatePartitionsResponse, CreatePartitionsTopicResult};
        let topic = |asked: create_partitions::CreatePartitionsTopic| CreatePartitionsTopicResult {
            name: asked.name,
            error_code,
            error_message: None,
        };
        CreatePartitionsResponse {
            results: self.topics.into_iter().map(topic).collect(),
            ..CreatePartitionsResponse::default()
        }
    }
}

impl Refusable for describe_configs::DescribeConfigsRequest {
    fn named(&self, _version: i16) -> Named {
        topics_among(self.resources.iter().map(|resource| (resource.resource_type, &resource.resource_name)))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use describe_configs::{DescribeConfigsResponse, DescribeConfigsResult};
        let resource = |asked: describe_configs::DescribeConfigsResource| DescribeConfigsResult {
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
            error_code,
            ..DescribeConfigsResult::default()
        };
        DescribeConfigsResponse {
            results: self.resources.into_iter().map(resource).collect(),
            ..DescribeConfigsResponse::default()
        }
    }
}

/// Both ways to alter configuration have the same shape and types of their own.
macro_rules! refused_alterations {
    ($($module:ident, $request:ident => $response:ident;)*) => {$(
        impl Refusable for $module::$request {
            fn named(&self, _version: i16) -> Named {
                let resources = self.resources.iter();
                topics_among(resources.map(|resource| (resource.resource_type, &resource.resource_name)))
            }

            fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
                let resource = |asked: $module::AlterConfigsResource| $module::AlterConfigsResourceResponse {
                    error_code,
                    error_message: None,
                    resource_type: asked.resource_type,
                    resource_name: asked.resource_name,
                };
                $module::$response {
                    responses: self.resources.into_iter().map(resource).collect(),
                    ..$module::$response::default()
                }
            }
        }
    )*};
}

refused_alterations! {
    alter_configs, AlterConfigsRequest => AlterConfigsResponse;
    incremental_alter_configs, IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
}

impl Refusable for create_acls::CreateAclsRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use create_acls::{AclCreationResult, CreateAclsResponse};
        let result = |_| AclCreationResult { error_code, error_message: None };
        CreateAclsResponse {
            results: self.creations.into_iter().map(result).collect(),
            ..CreateAclsResponse::default()
        }
    }
}

impl Refusable for delete_acls::DeleteAclsRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use delete_acls::{DeleteAclsFilterResult, DeleteAclsResponse};
        let result = |_| DeleteAclsFilterResult { error_code, ..DeleteAclsFilterResult::default() };
        DeleteAclsResponse {
            filter_results: self.filters.into_iter().map(result).collect(),
            ..DeleteAclsResponse::default()
        }
    }
}

impl Refusable for alter_client_quotas::AlterClientQuotasRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use alter_client_quotas::{AlterClientQuotasResponse, EntryResult};
        let result = |asked: alter_client_quotas::EntryData| EntryResult {
            error_code,
            error_message: None,
            entity: asked.entity,
        };
        AlterClientQuotasResponse {
            entries: self.entries.into_iter().map(result).collect(),
            ..AlterClientQuotasResponse::default()
        }
    }
}

impl Refusable for alter_replica_log_dirs::AlterReplicaLogDirsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.dirs.iter().flat_map(|dir| &dir.topics).map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use alter_replica_log_dirs::{
            AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
        };
        let partition =
            |partition_index: i32| AlterReplicaLogDirPartitionResult { partition_index, error_code };
        let topic = |asked: alter_replica_log_dirs::AlterReplicaLogDirTopic| AlterReplicaLogDirTopicResult {
            topic_name: asked.name,
            partitions: asked.partitions.into_iter().map(partition).collect(),
        };
        AlterReplicaLogDirsResponse {
            results: self.dirs.into_iter().flat_map(|dir| dir.topics).map(topic).collect(),
            ..AlterReplicaLogDirsResponse::default()
        }
    }
}

impl Refusable for describe_log_dirs::DescribeLogDirsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names_or_all(self.topics.as_ref().map(|topics| topics.iter().map(|topic| &topic.topic)))
    }

    fn refused(self, version: i16, error_code: ErrorCode) -> Self::Response {
        use describe_log_dirs::{DescribeLogDirsResponse, DescribeLogDirsResult};
        if version >= WHOLE_LOG_DIRS_ERROR_FROM {
            return DescribeLogDirsResponse { error_code, ..DescribeLogDirsResponse::default() };
        }
        let results = vec![DescribeLogDirsResult { error_code, ..DescribeLogDirsResult::default() }];
        DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() }
    }
}

impl Refusable for describe_quorum::DescribeQuorumRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.topic_name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        describe_quorum::DescribeQuorumResponse {
            error_code,
            ..describe_quorum::DescribeQuorumResponse::default()
        }
    }
}

impl Refusable for elect_leaders::ElectLeadersRequest {
    fn named(&self, _version: i16) -> Named {
        let topics = self.topic_partitions.as_ref();
        Named::names_or_all(topics.map(|topics| topics.iter().map(|topic| &topic.topic)))
    }

    fn refused(self, version: i16, code: ErrorCode) -> Self::Response {
        use elect_leaders::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};
        if version >= WHOLE_ELECTION_ERROR_FROM {
            return ElectLeadersResponse { error_code: code, ..ElectLeadersResponse::default() };
        }
        let partition =
            |partition_id: i32| PartitionResult { partition_id, error_code: code, error_message: None };
        let topic = |asked: elect_leaders::TopicPartitions| ReplicaElectionResult {
            topic: asked.topic,
            partition_result: asked.partitions.into_iter().map(partition).collect(),
        };
        let topics = self.topic_partitions.unwrap_or_default();
        ElectLeadersResponse {
            replica_election_results: topics.into_iter().map(topic).collect(),
            ..ElectLeadersResponse::default()
        }
    }
}

impl Refusable for alter_partition_reassignments::AlterPartitionReassignmentsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use alter_partition_reassignments::AlterPartitionReassignmentsResponse;
        AlterPartitionReassignmentsResponse { error_code, ..AlterPartitionReassignmentsResponse::default() }
    }
}

impl Refusable for list_partition_reassignments::ListPartitionReassignmentsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names_or_all(self.topics.as_ref().map(|topics| topics.iter().map(|topic| &topic.name)))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use list_partition_reassignments::ListPartitionReassignmentsResponse;
        ListPartitionReassignmentsResponse { error_code, ..ListPartitionReassignmentsResponse::default() }
    }
}
