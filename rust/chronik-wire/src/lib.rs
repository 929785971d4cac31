//! The Kafka wire protocol: frames, headers, messages and record batches. Knows nothing of brokers.
//!
//! # The way through
//!
//! ```text
//! bytes of a connection --frame::next_frame--> one frame --header::RequestHeader::read--> api, version, correlation id
//!   --header::decode_request::<FetchRequest>--> body --(a broker)--> body
//!   --header::response_frame or response_pieces--> Vec<Bytes>, for a vectored write
//! ```
//!
//! A client goes the other way: [`header::request_frame`] and [`header::decode_response`].
//!
//! # The rooms
//!
//! - [`types`]: the vocabulary of the whole project: offsets, epochs, ids.
//! - [`frame`]: cuts a byte stream into frames; refuses lengths, HTTP and TLS before it allocates.
//! - [`header`]: request and response headers, whole frames.
//! - [`api`]: [`api::ApiKey`], the one table of keys, versions and header versions; [`api::Request`] ties a request to
//!   its API and its response.
//! - [`messages`]: one file per API, one declaration per structure. [`codec::Message`] gives each body `decode` and
//!   `encode`; all fields are public, and `..Default::default()` holds Kafka's defaults.
//! - [`codec`]: [`codec::Reader`], [`codec::Writer`], [`codec::Records`], and what each primitive type looks like.
//! - [`batch`]: [`batch::BatchView`], [`batch::validate_produced`], [`batch::stamp`], [`batch::BatchBuilder`].
//! - [`error_code`]: [`error_code::ErrorCode`] with Kafka's names.
//! - [`limits`]: every bound.
//!
//! # What holds everywhere
//!
//! - Bytes from a peer never panic, and decoding takes at most 16 times a frame's size plus a constant.
//! - Record bytes are never copied: Produce holds slices of the frame, Fetch a rope of shared pieces.
//! - Null and empty differ. The one exception is [`codec::Records`], which is never null when written.

pub mod api;
pub mod batch;
pub mod codec;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod limits;
pub mod messages;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod types;

#[cfg(test)]
mod tests;
