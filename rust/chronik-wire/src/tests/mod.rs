//! Tests over all messages at once: round trips, the comparison with another implementation, hostile bytes.

mod allocation;
mod api;
mod batches;
mod frames;
mod headers;
mod hostile;
mod oracle;
mod roundtrip;
pub(crate) mod sample;

/// Calls `$check!(RequestName, ResponseName)` for every API. That none is missing, a test in [`api`] checks.
macro_rules! for_each_api {
    ($check:ident) => {
        for_each_api!(@each $check:
            ProduceRequest ProduceResponse,
            FetchRequest FetchResponse,
            ListOffsetsRequest ListOffsetsResponse,
            MetadataRequest MetadataResponse,
            FindCoordinatorRequest FindCoordinatorResponse,
            ApiVersionsRequest ApiVersionsResponse,
            CreateTopicsRequest CreateTopicsResponse,
            DeleteTopicsRequest DeleteTopicsResponse,
            InitProducerIdRequest InitProducerIdResponse,
            OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
            DescribeConfigsRequest DescribeConfigsResponse,
            DescribeClusterRequest DescribeClusterResponse,
            DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
        )
    };
    (@each $check:ident: $($request:ident $response:ident,)*) => { $($check!($request, $response);)* };
}
pub(crate) use for_each_api;

/// Calls `$function::<Message>(arguments)` for both messages of every API.
macro_rules! for_each_message {
    ($function:ident($($argument:expr),*)) => {{
        macro_rules! both {
            ($request:ident, $response:ident) => {
                $function::<$request>($($argument),*);
                $function::<$response>($($argument),*);
            };
        }
        for_each_api!(both);
    }};
}
pub(crate) use for_each_message;

use bytes::{Bytes, BytesMut};
use proptest::test_runner::Config;

use crate::codec::{Message, Writer};

/// The bytes of a body in one piece.
pub(crate) fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap();
    joined(writer.finish())
}

/// Pieces as one.
pub(crate) fn joined(pieces: Vec<Bytes>) -> Bytes {
    pieces
        .iter()
        .fold(BytesMut::new(), |mut all, piece| {
            all.extend_from_slice(piece);
            all
        })
        .freeze()
}

/// A number of cases that keeps each test within a few seconds, and leaves no files behind.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
