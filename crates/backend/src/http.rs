//! Requests and answers on one connection: HTTP/1.1 (RFC 9112).

use std::{convert::Infallible, fmt, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use envelope::SystemRandom;
use futures_util::FutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::Random;
use protocol::{ErrorCode, device::path};
use tls::PeerIdentity;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::Instrument;

use crate::{
    Limits,
    io::{Failed, Guarded},
    refusal::{Refusal, TRACE},
};

/// How much of an answer waits in the connection's buffer: one slice, so that what counts as served is
/// close to what was sent.
const BUFFER: usize = 64 * 1024;

/// Who asks, and over which connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) identity: Arc<PeerIdentity>,
    pub(crate) failed: Arc<Failed>,
}

/// Answers requests until the other end closes, stalls, or `shutdown` comes and the request at hand is
/// answered.
pub(crate) async fn serve(
    stream: TlsStream<TcpStream>,
    peer: PeerIdentity,
    address: SocketAddr,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let failed = Arc::new(Failed::default());
    let peer = Peer { identity: Arc::new(peer), failed: Arc::clone(&failed) };
    let io = TokioIo::new(Guarded::new(stream, limits.stall, Arc::clone(&failed)));
    let service = service_fn(move |request| answer(request, peer.clone(), router.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(32)
        .max_buf_size(BUFFER)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    // Dropped before the connection: what that leaves unsent was not sent.
    let _unsent = failed.on_drop();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, error = &error as &dyn std::error::Error, "a connection ended early");
    }
}

async fn answer(request: Request<Incoming>, peer: Peer, router: Router) -> Result<Response, Infallible> {
    let trace = trace_id();
    let span = tracing::info_span!(
        "request",
        trace_id = trace,
        method = %request.method(),
        path = %Redacted(request.uri().path()),
    );
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let answered = async {
        let answered = AssertUnwindSafe(router.oneshot(request)).catch_unwind().await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Err(_) => {
                tracing::error!("a request panicked");
                Refusal::new(ErrorCode::Internal, "The backend failed to do this.").into_response()
            }
        };
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    };
    Ok(TRACE.scope(trace, answered).instrument(span).await)
}

fn trace_id() -> String {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// A path as it may be logged: a link's id opens its ciphertext, so it is left out.
struct Redacted<'a>(&'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with(path::LINKS) || self.0.starts_with(protocol::operator::path::LINKS) {
            f.write_str("links/..")
        } else {
            f.write_str(self.0)
        }
    }
}
