//! Headers, and whole frames: a header, a body and the length before them.
//!
//! Brokers read a header with [`RequestHeader::read`], then the body with [`decode_request`], and answer with
//! [`response_frame`] or [`response_pieces`]. Clients write [`request_frame`] and read [`decode_response`].

use bytes::Bytes;
use thiserror::Error;

use crate::api::{ApiKey, Request};
use crate::codec::{DecodeError, EncodeError, Field, Layout, Message, Reader, Writer};
use crate::error_code::ErrorCode;
use crate::messages::api_versions::{ApiVersion, ApiVersionsResponse};

/// The header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API asked for.
    pub api: ApiKey,
    /// The version of the body, and of the answer.
    pub version: i16,
    /// Repeated in the answer.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
}

/// Why a request cannot be handed to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// An API that is not in the table. The connection can only be closed.
    #[error("api key {key} is unknown")]
    UnknownApi {
        /// The key received.
        key: i16,
        /// The version received.
        version: i16,
        /// The request's correlation id.
        correlation_id: i32,
    },
    /// A version without a layout. Answer ApiVersions with [`unsupported_version_pieces`]; for the others close.
    #[error("{api} has no version {version}")]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version received.
        version: i16,
        /// The request's correlation id.
        correlation_id: i32,
    },
    /// Bytes that are no header.
    #[error("request header is malformed")]
    Malformed(#[from] DecodeError),
}

impl RequestHeader {
    /// Reads the header of a frame and leaves the reader at the body. Only versions with a layout pass.
    pub fn read(reader: &mut Reader) -> Result<RequestHeader, HeaderError> {
        reader.at("RequestHeader");
        let key = reader.read_i16()?;
        let version = reader.read_i16()?;
        let correlation_id = reader.read_i32()?;
        let Some(api) = ApiKey::from_i16(key) else {
            return Err(HeaderError::UnknownApi { key, version, correlation_id });
        };
        if !api.layouts().contains(&version) {
            return Err(HeaderError::UnsupportedVersion { api, version, correlation_id });
        }
        reader.at("RequestHeader.client_id");
        // Never compact, so that a broker can read it without knowing the header's version.
        let client_id = Option::<String>::read(reader, INFLEXIBLE)?;
        if api.request_header_version(version) >= 2 {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(RequestHeader { api, version, correlation_id, client_id })
    }

    /// Appends the header.
    pub fn write(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.put_i16(self.api as i16);
        writer.put_i16(self.version);
        writer.put_i32(self.correlation_id);
        self.client_id.write(writer, INFLEXIBLE)?;
        if self.api.request_header_version(self.version) >= 2 {
            writer.put_unsigned_varint(0);
        }
        Ok(())
    }
}

const INFLEXIBLE: Layout = Layout::new(0, crate::codec::NEVER);

/// Appends the header of a response.
pub fn write_response_header(writer: &mut Writer, api: ApiKey, version: i16, correlation_id: i32) {
    writer.put_i32(correlation_id);
    if api.response_header_version(version) >= 1 {
        writer.put_unsigned_varint(0);
    }
}

/// Reads the header of a response and returns its correlation id.
pub fn read_response_header(reader: &mut Reader, api: ApiKey, version: i16) -> Result<i32, DecodeError> {
    reader.at("ResponseHeader");
    let correlation_id = reader.read_i32()?;
    if api.response_header_version(version) >= 1 {
        reader.tagged_fields(|_, _| Ok(false))?;
    }
    Ok(correlation_id)
}

/// Reads a request's body. What follows it in the frame is not looked at, as Kafka does not: old clients disagree about
/// version 3 of ApiVersions, and librdkafka asks for the metadata of all topics with three bytes too many.
pub fn decode_request<R: Request>(mut reader: Reader, version: i16) -> Result<R, DecodeError> {
    R::decode(&mut reader, version)
}

/// A whole request as pieces to send, length first.
pub fn request_frame<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &R,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut writer = Writer::framed();
    let client_id = client_id.map(str::to_owned);
    RequestHeader { api: R::KEY, version, correlation_id, client_id }.write(&mut writer)?;
    body.encode(&mut writer, version)?;
    writer.finish_frame()
}

/// A whole response as pieces to send, length first.
pub fn response_frame<M: Message>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut writer = Writer::framed();
    write_response_header(&mut writer, api, version, correlation_id);
    body.encode(&mut writer, version)?;
    writer.finish_frame()
}

/// A response's header and body as pieces, without the length; [`crate::frame::length_prefix`] makes that.
pub fn response_pieces<M: Message>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut writer = Writer::new();
    write_response_header(&mut writer, api, version, correlation_id);
    body.encode(&mut writer, version)?;
    Ok(writer.finish())
}

/// Reads a whole response frame (without its length): the correlation id and the body.
pub fn decode_response<R: Request>(frame: Bytes, version: i16) -> Result<(i32, R::Response), DecodeError> {
    let mut reader = Reader::new(frame);
    let correlation_id = read_response_header(&mut reader, R::KEY, version)?;
    let body = R::Response::decode(&mut reader, version)?;
    reader.at(<R::Response as Message>::NAME);
    reader.finish()?;
    Ok((correlation_id, body))
}

/// The answer to ApiVersions in a version the broker does not have: error 35 in the layout of version 0, which every
/// client can read, with the versions it may try instead (KIP-511). Pieces without the length.
pub fn unsupported_version_pieces(
    correlation_id: i32,
    api_keys: Vec<ApiVersion>,
) -> Result<Vec<Bytes>, EncodeError> {
    let body = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys,
        ..ApiVersionsResponse::default()
    };
    response_pieces(ApiKey::ApiVersions, 0, correlation_id, &body)
}
