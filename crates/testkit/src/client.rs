use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::{Body, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use protocol::{ErrorBody, ErrorCode};
use serde::{Serialize, de::DeserializeOwned};
use tls::ClientTls;
use tokio::{net::TcpStream, task::JoinHandle};

/// A connection to a backend: one request after the other.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<BoxBody<Bytes, std::io::Error>>,
    connection: JoinHandle<()>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer that does not end: one JSON object a line.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    rest: BytesMut,
    /// Closed with the stream.
    _client: Client,
}

impl Client {
    /// Connects, or fails as a client that is refused does.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn connect(address: SocketAddr, tls: &ClientTls) -> Result<Self, tls::Error> {
        let stream = TcpStream::connect(address).await.map_err(tls::Error::Handshake)?;
        stream.set_nodelay(true).map_err(tls::Error::Handshake)?;
        let stream = tls.connect("localhost", stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move {
            // How it ended, the requests say.
            let _ = connection.await;
        });
        Ok(Self { sender, connection })
    }

    /// Sends a request with any body; the head of the answer.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send<B>(&mut self, request: Request<B>) -> hyper::Result<hyper::Response<Incoming>>
    where
        B: Body<Data = Bytes, Error = std::io::Error> + Send + Sync + 'static,
    {
        self.sender.ready().await?;
        self.sender.send_request(request.map(BodyExt::boxed)).await
    }

    /// Sends a request with these bytes; the whole answer.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> hyper::Result<Answered> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(body).map_err(|never| match never {});
        let answer = self.send(request.body(body).unwrap()).await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answered { status: parts.status, headers: parts.headers, body })
    }

    /// Gets something.
    ///
    /// # Panics
    /// The connection broke.
    pub async fn get(&mut self, path: &str) -> Answered {
        self.request(Method::GET, path, &[], Bytes::new()).await.unwrap()
    }

    /// Posts JSON.
    ///
    /// # Panics
    /// The connection broke.
    pub async fn post(&mut self, path: &str, body: &(impl Serialize + ?Sized)) -> Answered {
        self.json(Method::POST, path, body).await
    }

    /// Puts JSON.
    ///
    /// # Panics
    /// The connection broke.
    pub async fn put(&mut self, path: &str, body: &(impl Serialize + ?Sized)) -> Answered {
        self.json(Method::PUT, path, body).await
    }

    async fn json(&mut self, method: Method, path: &str, body: &(impl Serialize + ?Sized)) -> Answered {
        let body = serde_json::to_vec(body).unwrap().into();
        self.request(method, path, &[("content-type", "application/json")], body).await.unwrap()
    }

    /// Opens a stream; the connection is its own from then on.
    ///
    /// # Panics
    /// It was refused.
    pub async fn stream(mut self, path: &str) -> Stream {
        let request = Request::builder().uri(path).header("host", "localhost");
        let empty = Full::new(Bytes::new()).map_err(|never| match never {});
        let answer = self.send(request.body(empty).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        Stream { body: answer.into_body(), rest: BytesMut::new(), _client: self }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answered {
    /// The body of a success.
    ///
    /// # Panics
    /// It is none.
    pub fn ok<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A success without a body worth reading.
    ///
    /// # Panics
    /// It is none.
    pub fn done(&self) {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.body));
    }

    /// The error's body.
    ///
    /// # Panics
    /// It is a success, or no error as this API gives them.
    pub fn error(&self) -> ErrorBody {
        let text = String::from_utf8_lossy(&self.body);
        let error: ErrorBody =
            serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no error: {text}"));
        assert_eq!(self.status.as_u16(), error.code.status(), "{text}");
        error
    }

    /// The error's code.
    ///
    /// # Panics
    /// As [`Answered::error`].
    pub fn code(&self) -> ErrorCode {
        self.error().code
    }
}

impl Stream {
    /// The next line; none when the stream ended.
    ///
    /// # Panics
    /// The line is not what was asked for.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}
