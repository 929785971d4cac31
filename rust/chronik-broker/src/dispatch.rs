//! From a frame to a handler and back. One table says which keys this broker speaks; ApiVersions answers from it and
//! nothing else is dispatched.

use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use chronik_wire::api::{ApiKey, Request};
use chronik_wire::codec::Reader;
use chronik_wire::header::{
    HeaderError, RequestHeader, decode_request, response_pieces, unsupported_version_pieces,
};
use chronik_wire::messages::api_versions::ApiVersion;

use crate::broker::Broker;
use crate::connection::{CloseReason, Connection, RequestClass};
use crate::counters::count;
use crate::handlers::{self, Answer, Context};
use crate::interception::Refusable;
use crate::world::LocalFuture;

type Outcome = Result<Option<Vec<Bytes>>, CloseReason>;

/// One row of the table: a key and what serves it. The versions are those of [`ApiKey::versions`].
struct Api {
    key: ApiKey,
    run: fn(Context, RequestHeader, Reader) -> LocalFuture<Outcome>,
}

macro_rules! apis {
    ($($key:ident => $module:ident $(, $interception:ident)?;)*) => {
        /// Every API this broker speaks.
        static APIS: &[Api] = &[$(Api {
            key: ApiKey::$key,
            run: |context, header, reader| {
                Box::pin(apis!(@run $($interception)?)(context, header, reader, handlers::$module::handle))
            },
        }),*];
    };
    (@run) => { run_unless_refused };
    // Its handler asks the rules of a test itself, to refuse only the topics they name.
    (@run by_topic) => { run };
}

apis! {
    Produce => produce, by_topic;
    Fetch => fetch, by_topic;
    ListOffsets => list_offsets;
    Metadata => metadata, by_topic;
    OffsetCommit => offset_commit;
    OffsetFetch => offset_fetch;
    FindCoordinator => find_coordinator;
    JoinGroup => join_group;
    Heartbeat => heartbeat;
    LeaveGroup => leave_group;
    SyncGroup => sync_group;
    DescribeGroups => describe_groups;
    ListGroups => list_groups;
    ApiVersions => api_versions;
    CreateTopics => create_topics;
    DeleteTopics => delete_topics;
    DeleteRecords => delete_records;
    InitProducerId => init_producer_id;
    OffsetForLeaderEpoch => offset_for_leader_epoch;
    AddPartitionsToTxn => add_partitions_to_txn;
    AddOffsetsToTxn => add_offsets_to_txn;
    EndTxn => end_txn;
    WriteTxnMarkers => write_txn_markers;
    TxnOffsetCommit => txn_offset_commit;
    DescribeAcls => describe_acls;
    CreateAcls => create_acls;
    DeleteAcls => delete_acls;
    DescribeConfigs => describe_configs;
    AlterConfigs => alter_configs;
    AlterReplicaLogDirs => alter_replica_log_dirs;
    DescribeLogDirs => describe_log_dirs;
    CreatePartitions => create_partitions;
    DeleteGroups => delete_groups;
    ElectLeaders => elect_leaders;
    IncrementalAlterConfigs => incremental_alter_configs;
    AlterPartitionReassignments => alter_partition_reassignments;
    ListPartitionReassignments => list_partition_reassignments;
    OffsetDelete => offset_delete;
    DescribeClientQuotas => describe_client_quotas;
    AlterClientQuotas => alter_client_quotas;
    DescribeUserScramCredentials => describe_user_scram_credentials;
    DescribeQuorum => describe_quorum;
    UpdateFeatures => update_features;
    DescribeCluster => describe_cluster;
    DescribeProducers => describe_producers;
    UnregisterBroker => unregister_broker;
    DescribeTransactions => describe_transactions;
    ListTransactions => list_transactions;
    ConsumerGroupHeartbeat => consumer_group_heartbeat;
    ConsumerGroupDescribe => consumer_group_describe;
    ListConfigResources => list_config_resources;
    DescribeTopicPartitions => describe_topic_partitions;
    ShareGroupHeartbeat => share_group_heartbeat;
    ShareGroupDescribe => share_group_describe;
    ShareFetch => share_fetch;
    ShareAcknowledge => share_acknowledge;
    InitializeShareGroupState => initialize_share_group_state;
    ReadShareGroupState => read_share_group_state;
    WriteShareGroupState => write_share_group_state;
    DeleteShareGroupState => delete_share_group_state;
    ReadShareGroupStateSummary => read_share_group_state_summary;
    DescribeShareGroupOffsets => describe_share_group_offsets;
    AlterShareGroupOffsets => alter_share_group_offsets;
    DeleteShareGroupOffsets => delete_share_group_offsets;
}

impl Broker {
    /// Serves one request frame (without its length prefix). The answer is the response frame in pieces, without its
    /// length prefix, or nothing for a produce with `acks=0`.
    pub async fn handle(self: &Rc<Self>, connection: &Connection, frame: Bytes) -> Outcome {
        count(&self.node.counters.requests);
        connection.unmuted(&*self.world).await;
        let frame_bytes = frame.len();
        let arrived_ms = self.world.now_ms();
        let mut reader = Reader::new(frame);
        let header = match RequestHeader::read(&mut reader) {
            Ok(header) => header,
            Err(error) => return self.answer_bad_header(&error),
        };
        let Some(api) = APIS.iter().find(|api| api.key == header.api) else {
            return Err(CloseReason::Unsupported { api_key: header.api as i16, version: header.version });
        };
        let context = Context {
            broker: Rc::clone(self),
            connection: connection.clone(),
            version: header.version,
            client_id: header.client_id.clone(),
            arrived_ms,
            frame_bytes,
        };
        (api.run)(context, header, reader).await
    }

    /// How the edge may order a request; malformed ones are ordinary.
    pub fn request_class(frame: &Bytes) -> RequestClass {
        match frame.first_chunk::<2>() {
            Some(key) if i16::from_be_bytes(*key) == ApiKey::Produce as i16 => RequestClass::Produce,
            _ => RequestClass::Ordered,
        }
    }

    /// Only ApiVersions can say "unsupported" in a layout that every client reads; the rest is closed.
    fn answer_bad_header(&self, error: &HeaderError) -> Outcome {
        match *error {
            HeaderError::UnsupportedVersion { api: ApiKey::ApiVersions, correlation_id, .. } => {
                unsupported_version_pieces(correlation_id, api_versions()).map(Some).map_err(|_| UNENCODABLE)
            }
            HeaderError::UnsupportedVersion { api, version, .. } => {
                Err(CloseReason::Unsupported { api_key: api as i16, version })
            }
            HeaderError::UnknownApi { key, version, .. } => {
                Err(CloseReason::Unsupported { api_key: key, version })
            }
            HeaderError::Malformed(error) => Err(self.malformed(&error)),
        }
    }

    fn malformed(&self, error: &dyn std::fmt::Display) -> CloseReason {
        count(&self.node.counters.requests_malformed);
        CloseReason::Malformed(error.to_string())
    }
}

const UNENCODABLE: CloseReason = CloseReason::Unanswerable("the response cannot be encoded");

/// Whether a key is in the table.
pub(crate) fn serves(key: ApiKey) -> bool {
    APIS.iter().any(|api| api.key == key)
}

/// The table as ApiVersions answers it.
pub(crate) fn api_versions() -> Vec<ApiVersion> {
    APIS.iter()
        .map(|api| ApiVersion {
            api_key: api.key as i16,
            min_version: *api.key.versions().start(),
            max_version: *api.key.versions().end(),
        })
        .collect()
}

/// Decodes, handles, encodes. The frame's buffer is released before the handler runs, so that a produced batch can
/// have it to itself.
async fn run<Q, F>(
    context: Context,
    header: RequestHeader,
    reader: Reader,
    handler: impl FnOnce(Context, Q) -> F,
) -> Outcome
where
    Q: Request,
    F: Future<Output = Answer<Q::Response>>,
{
    let request =
        decode_request::<Q>(reader, header.version).map_err(|error| context.broker.malformed(&error))?;
    let Some(response) = handler(context, request).await? else { return Ok(None) };
    let pieces = response_pieces(header.api, header.version, header.correlation_id, &response);
    pieces.map(Some).map_err(|error| {
        tracing::error!(api = %header.api, version = header.version, %error, "response cannot be encoded");
        UNENCODABLE
    })
}

/// The same for requests that a test may want delayed or refused before they are handled.
async fn run_unless_refused<Q, F>(
    context: Context,
    header: RequestHeader,
    reader: Reader,
    handler: impl FnOnce(Context, Q) -> F,
) -> Outcome
where
    Q: Refusable,
    F: Future<Output = Answer<Q::Response>>,
{
    run(context, header, reader, async |mut context: Context, request: Q| {
        let version = context.version;
        match context.intercepted(Q::KEY, || request.named(version)).await {
            Some(refused) => Ok(Some(request.refused(version, refused.code))),
            None => handler(context, request).await,
        }
    })
    .await
}
