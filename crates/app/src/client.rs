//! The operator API over mutual TLS. There is no other way to a backend, the embedded one included.

use std::time::Duration;

use bytes::Bytes;
use protocol::{ErrorBody, ErrorCode};
use reqwest::{Method, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, error::chain};

/// How long an answer may be, in bytes: a page of 500 rows is far below.
const MOST_OF_AN_ANSWER: usize = 64 << 20;
/// How long a refusal may be, in bytes.
const MOST_OF_AN_ERROR: usize = 1 << 20;

/// Talks to one backend as one person. A backend that never comes to an end is not listened to.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    origin: String,
}

impl Client {
    /// A client of the backend at `origin` (`https://host:port`) over this TLS configuration.
    pub(crate) fn new(origin: &str, tls: rustls::ClientConfig) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(|source| Error::internal("the client could not be set up", source))?;
        Ok(Self { http, origin: origin.trim_end_matches('/').to_owned() })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        json(self.send(Method::GET, path, &()).await?).await
    }

    pub(crate) async fn query<Q: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<T, Error> {
        let query = query_string(query)?;
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        self.get(&path).await
    }

    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Error> {
        json(self.send(Method::POST, path, body).await?).await
    }

    /// Posts where the answer has no body worth reading.
    pub(crate) async fn tell<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Error> {
        self.send(Method::POST, path, body).await.map(drop)
    }

    pub(crate) async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Error> {
        json(self.send(Method::PUT, path, body).await?).await
    }

    /// Puts where the answer has no body worth reading.
    pub(crate) async fn give<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Error> {
        self.send(Method::PUT, path, body).await.map(drop)
    }

    /// A file, or nothing where there is none; refused above `max_bytes`.
    pub(crate) async fn file(&self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        match self.send(Method::GET, path, &()).await {
            Ok(response) => body(response, max_bytes).await.map(Some),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends part of a blob: `bytes`, which begin at `offset` of `total`.
    pub(crate) async fn put_range<T: DeserializeOwned>(
        &self,
        path: &str,
        bytes: Bytes,
        offset: u64,
        total: u64,
    ) -> Result<T, Error> {
        let last = offset + bytes.len() as u64;
        let range = if bytes.is_empty() {
            format!("bytes */{total}")
        } else {
            format!("bytes {offset}-{}/{total}", last - 1)
        };
        let request = self
            .http
            .request(Method::PUT, format!("{}{path}", self.origin))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_RANGE, range)
            .body(bytes);
        json(checked(request.send().await.map_err(unreachable)?).await?).await
    }

    /// A response whose body never ends, line by line.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response, Error> {
        self.send(Method::GET, path, &()).await
    }

    async fn send<B: Serialize>(&self, method: Method, path: &str, body: &B) -> Result<Response, Error> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.origin));
        if method != Method::GET {
            request = request.json(body);
        }
        checked(request.send().await.map_err(unreachable)?).await
    }
}

/// The parameters of a flat structure, percent-encoded.
fn query_string<Q: Serialize>(query: &Q) -> Result<String, Error> {
    let value =
        serde_json::to_value(query).map_err(|source| Error::internal("failed to write a query", source))?;
    let serde_json::Value::Object(fields) = value else {
        return Ok(String::new());
    };
    let mut url = reqwest::Url::parse("https://query.invalid/").expect("a constant URL parses");
    for (name, value) in fields {
        match value {
            serde_json::Value::String(text) => {
                url.query_pairs_mut().append_pair(&name, &text);
            }
            serde_json::Value::Null => {}
            other @ (serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_)) => {
                url.query_pairs_mut().append_pair(&name, &other.to_string());
            }
        }
    }
    Ok(url.query().unwrap_or_default().to_owned())
}

async fn checked(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = body(response, MOST_OF_AN_ERROR).await?;
    Err(serde_json::from_slice::<ErrorBody>(&body)
        .map_or_else(|_| Error::new(code_of(status), format!("the backend answered {status}")), Error::from))
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    let body = body(response, MOST_OF_AN_ANSWER).await?;
    serde_json::from_slice(&body).map_err(|source| {
        Error::because(ErrorCode::Untrusted, "the backend's answer cannot be read", source)
            .hint("the backend may be of another version")
    })
}

/// All of a body, refused above `max_bytes`.
async fn body(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > max_bytes {
            let path = response.url().path();
            return Err(Error::new(ErrorCode::Untrusted, format!("`{path}` is longer than it may be")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn code_of(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => ErrorCode::Forbidden,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => ErrorCode::Busy,
        _ => ErrorCode::NetworkUnreachable,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(crate) fn unreachable(source: reqwest::Error) -> Error {
    let detail = chain(&source);
    let (code, hint) = if detail.contains("certificate") || detail.contains("invalid peer") {
        (ErrorCode::Untrusted, "compare the backend's address and the fleet that this workspace joined")
    } else if source.is_timeout() {
        (ErrorCode::Timeout, "try again; if it stays so, look at the backend's log")
    } else {
        (ErrorCode::NetworkUnreachable, "is the backend running, and is the network up?")
    };
    Error::new(code, "the backend could not be reached").detail(detail).hint(hint)
}
