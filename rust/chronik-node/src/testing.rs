//! Doors for tests of other crates: the edge's protocols over any stream, without sockets. Compiled with the feature
//! `testing` only.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use chronik_broker::{CloseReason, RequestClass};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::{RequestBudget, Service, serve};
use crate::limits;
use crate::peers::tcp::questions::Question;
use crate::peers::tcp::{ANYBODY, Hello, HelloError};
use crate::stats::EdgeCounters;

/// A request being executed: it ends with the pieces of its answer, with no answer at all, or with a reason to close.
pub type Execution = Pin<Box<dyn Future<Output = Result<Option<Vec<Bytes>>, CloseReason>>>>;

/// A service made of two functions.
struct Functions<C, E> {
    class: C,
    execute: E,
}

impl<C: Fn(&Bytes) -> RequestClass, E: Fn(Bytes) -> Execution> Service for Functions<C, E> {
    fn class(&self, frame: &Bytes) -> RequestClass {
        (self.class)(frame)
    }

    fn execute(&self, frame: Bytes) -> Execution {
        (self.execute)(frame)
    }
}

/// Serves one client connection over `stream`, as a listener does, until it ends; says why it ended.
pub async fn serve_client<T>(
    stream: T,
    class: impl Fn(&Bytes) -> RequestClass,
    execute: impl Fn(Bytes) -> Execution,
) -> String
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let budget = RequestBudget::new(limits::NODE_REQUEST_BYTES_MAX);
    let service = Functions { class, execute };
    serve(stream, service, Arc::new(EdgeCounters::default()), budget).await.to_string()
}

/// Hears the first frame of a peer, and its question if it has one; the error says why the peer would be refused.
pub async fn hear_peer<T>(mut stream: T) -> Result<(), String>
where
    T: AsyncRead + Unpin,
{
    let heard = async {
        let hello = Hello::receive(&mut stream).await?;
        if hello.to == ANYBODY {
            Question::receive(&mut stream).await?;
        }
        Ok(())
    };
    heard.await.map_err(|error: HelloError| error.to_string())
}
