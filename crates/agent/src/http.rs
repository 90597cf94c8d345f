//! The client's end of the device API: HTTP/1.1 over TLS 1.3, one connection kept alive.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use pki::CertificateDer;
use protocol::{ErrorBody, ErrorCode, MAX_JSON_BYTES};
use serde::{Serialize, de::DeserializeOwned};
use tls::ClientTls;
use tokio::{task::JoinHandle, time::timeout};

use crate::{Dial, Error};

/// For a connection, its handshake included.
const CONNECT: Duration = Duration::from_secs(30);
/// From a request to the head of its answer, beyond what the backend may hold it back.
const ANSWER: Duration = Duration::from_secs(30);
/// From one piece of a body to the next.
const STALL: Duration = Duration::from_secs(30);
/// What is read ahead of a connection, in bytes.
const READ_BUFFER: usize = 64 * 1024;

/// Where the backend is and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) tls: ClientTls,
    /// Host and port.
    pub(crate) address: String,
}

/// A connection that is made when it is needed and kept while it holds.
pub(crate) struct Http {
    endpoint: Endpoint,
    open: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    peer: Vec<CertificateDer<'static>>,
}

/// The body of an answer, a piece at a time.
pub(crate) struct Body(Incoming);

impl Endpoint {
    /// The origin that links name.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The host alone, without port and brackets.
    fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(&*self.address, |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connect = async {
            let stream = self.dial.dial(&self.address).await.map_err(Error::network("connect"))?;
            let stream = self.tls.connect(self.host(), stream).await.map_err(Error::Tls)?;
            let peer = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let peer = peer.iter().map(|certificate| certificate.clone().into_owned()).collect();
            let (sender, connection) = http1::Builder::new()
                .read_buf_exact_size(Some(READ_BUFFER))
                .handshake(TokioIo::new(stream))
                .await
                .map_err(Error::http("connect"))?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection ended");
                }
            });
            Ok(Connection { sender, driver, peer })
        };
        timeout(CONNECT, connect).await.map_err(|_| Error::late("connect"))?
    }
}

impl Http {
    pub(crate) const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, open: None }
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Uses another endpoint from the next connection on.
    pub(crate) fn redirect(&mut self, endpoint: Endpoint) {
        self.endpoint = endpoint;
    }

    /// Drops the connection: the next request makes a new one.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// The certificates that the other end showed on the open connection, its own first.
    pub(crate) fn peer(&self) -> &[CertificateDer<'static>] {
        self.open.as_ref().map_or(&[], |open| &open.peer)
    }

    /// Sends a request and gives the answer's head, whatever its status. Every request of ours may be
    /// repeated, so one that finds its kept connection closed goes out again on a new one.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        wait: Duration,
    ) -> Result<Response<Body>, Error> {
        let answer = timeout(wait + ANSWER, self.send_now(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Error::late("answer")));
        if answer.is_err() {
            self.close();
        }
        answer
    }

    async fn send_now(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Body>, Error> {
        let host = HeaderValue::from_str(&self.endpoint.address);
        request.headers_mut().insert(header::HOST, host.map_err(|_| Error::Address)?);
        let mut kept = self.open.is_some();
        loop {
            let connection = match &mut self.open {
                Some(connection) => connection,
                none => none.insert(self.endpoint.connect().await?),
            };
            let sent = match connection.sender.ready().await {
                Ok(()) => connection.sender.send_request(request.clone()).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(answer) => return Ok(answer.map(Body)),
                Err(_) if kept => {
                    self.close();
                    kept = false;
                }
                Err(error) => return Err(Error::http("send")(error)),
            }
        }
    }

    /// Sends JSON and reads JSON back. The backend may hold the answer back for `wait`.
    pub(crate) async fn json<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|_| Error::answer("the request has no JSON form"))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|_| Error::Address)?;
        let answer = self.send(request, wait).await?;
        let body = self.success(answer).await?.1;
        let bytes = self.read(body, MAX_JSON_BYTES).await?;
        // An answer without content is the JSON null.
        let bytes = if bytes.is_empty() { b"null" } else { &bytes[..] };
        serde_json::from_slice(bytes).map_err(|_| Error::answer("the answer is not what was asked for"))
    }

    /// Fetches a file of at most `max` bytes, one byte more if there are more; nothing if it is not there.
    pub(crate) async fn file(&mut self, path: &str, max: usize) -> Result<Option<Vec<u8>>, Error> {
        let answer = self.send(get(path, None)?, Duration::ZERO).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            self.read(answer.into_body(), MAX_JSON_BYTES).await?;
            return Ok(None);
        }
        let body = self.success(answer).await?.1;
        self.read(body, max).await.map(Some)
    }

    /// The body of a success with its status; the error that another answer carries.
    pub(crate) async fn success(&mut self, answer: Response<Body>) -> Result<(StatusCode, Body), Error> {
        let status = answer.status();
        if status.is_success() {
            return Ok((status, answer.into_body()));
        }
        let bytes = self.read(answer.into_body(), 64 * 1024).await?;
        let error = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            ErrorBody::new(ErrorCode::Internal, format!("the backend answered {status}"))
        });
        Err(Error::Backend { status: status.as_u16(), error: Box::new(error) })
    }

    /// Reads a body up to `max` bytes, and one more to show that it goes on; the connection is dropped then.
    async fn read(&mut self, mut body: Body, max: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(piece) = body.piece().await.inspect_err(|_| self.open = None)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > max {
                self.close();
                bytes.truncate(max.saturating_add(1));
                break;
            }
        }
        Ok(bytes)
    }
}

impl Body {
    /// The next piece; nothing at the end. May be canceled between pieces without losing one.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        self.piece_within(STALL).await
    }

    /// As [`piece`](Self::piece), but the other end may be silent for so long.
    pub(crate) async fn piece_within(&mut self, silence: Duration) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = timeout(silence, self.0.frame()).await.map_err(|_| Error::late("read"))?;
            match frame.transpose().map_err(Error::http("read"))? {
                None => return Ok(None),
                // A trailer says nothing that we ask for.
                Some(frame) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }
}

/// A GET, of a range of bytes if one is given (first and last, both included).
pub(crate) fn get(path: &str, range: Option<(u64, u64)>) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::builder().method(Method::GET).uri(path);
    if let Some((first, last)) = range {
        request = request.header(header::RANGE, format!("bytes={first}-{last}"));
    }
    request.body(Full::default()).map_err(|_| Error::Address)
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Error {
    pub(crate) fn network(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Network { action, source: Box::new(source) }
    }

    fn http(action: &'static str) -> impl FnOnce(hyper::Error) -> Self {
        move |source| Self::Network { action, source: Box::new(source) }
    }

    fn late(action: &'static str) -> Self {
        Self::Network { action, source: Box::new(io::Error::from(io::ErrorKind::TimedOut)) }
    }

    pub(crate) const fn answer(reason: &'static str) -> Self {
        Self::Answer { reason }
    }
}
