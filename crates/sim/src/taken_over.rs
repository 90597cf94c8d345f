//! A backend in an attacker's hands: it has every key that the real one has, and says what it likes.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use envelope::{CheckIn, Ed25519Key};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use model::{DeviceId, UnixTime};
use protocol::{
    Base64,
    device::{CheckInRequest, CheckInResponse, Offer, ReportsRequest, ReportsResponse, path},
};
use tls::{CertificateDer, Identity, Limits, ServerTls, SystemClock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why the attacker got nowhere even before lying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakenOverError {
    /// A key file or certificate could not be used.
    #[error("the backend's keys could not be taken")]
    Keys {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address could not be used.
    #[error("the backend's place could not be taken")]
    Listen {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The lying backend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TakenOver {
    lies: Arc<Lies>,
    shutdown: CancellationToken,
}

#[derive(Debug)]
struct Lies {
    link: Ed25519Key,
    device: Mutex<DeviceId>,
    /// What it serves below `/v1/tuf/` and `/v1/links/`.
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    offers: Mutex<Vec<Offer>>,
    reports: Mutex<Vec<Vec<u8>>>,
    /// How far its clock is from ours, as it tells devices.
    at: Mutex<Option<UnixTime>>,
}

impl TakenOver {
    /// Takes the backend's place on `listener`, with the keys in its data folder. It talks to one device.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn start(
        data: &Path,
        chain: Vec<CertificateDer<'static>>,
        roots: &[CertificateDer<'static>],
        listener: TcpListener,
        device: DeviceId,
    ) -> Result<Self, TakenOverError> {
        let keys = |source: Box<dyn std::error::Error + Send + Sync>| TakenOverError::Keys { source };
        let read =
            |name: &str| std::fs::read(data.join("keys").join(name)).map_err(|source| keys(source.into()));
        let seed: [u8; 32] = read("link")?
            .as_slice()
            .try_into()
            .map_err(|source: std::array::TryFromSliceError| keys(source.into()))?;
        let identity = Identity::from_pkcs8(chain, &read("tls")?).map_err(|source| keys(source.into()))?;
        let tls =
            ServerTls::new(&identity, roots, Arc::new(SystemClock)).map_err(|source| keys(source.into()))?;
        let lies = Arc::new(Lies {
            link: Ed25519Key::from_seed(&seed),
            device: Mutex::new(device),
            files: Mutex::default(),
            offers: Mutex::default(),
            reports: Mutex::default(),
            at: Mutex::default(),
        });
        let shutdown = CancellationToken::new();
        let told = Arc::clone(&lies);
        let end = shutdown.clone();
        tokio::spawn(async move {
            let handler = move |stream, _, _| {
                let lies = Arc::clone(&told);
                async move {
                    let service = service_fn(move |request| {
                        let lies = Arc::clone(&lies);
                        async move { Ok::<_, Infallible>(lies.answer(request).await) }
                    });
                    // A device that hangs up on a liar is what we hope for.
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                }
            };
            tls::serve(listener, Arc::new(tls), Limits::default(), end, handler).await;
        });
        Ok(Self { lies, shutdown })
    }

    /// Serves `content` at `path` from now on.
    pub fn serve(&self, path: &str, content: Vec<u8>) {
        lock(&self.lies.files).insert(path.to_owned(), content);
    }

    /// Offers this from now on.
    pub fn offer(&self, offers: Vec<Offer>) {
        *lock(&self.lies.offers) = offers;
    }

    /// Talks to this device from now on.
    pub fn talk_to(&self, device: DeviceId) {
        *lock(&self.lies.device) = device;
    }

    /// Says that it is this late.
    pub fn pretend(&self, at: UnixTime) {
        *lock(&self.lies.at) = Some(at);
    }

    /// What the device reported.
    pub fn reports(&self) -> Vec<Vec<u8>> {
        lock(&self.lies.reports).clone()
    }

    /// Gives the place back.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }
}

impl Lies {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let at = request.uri().path().to_owned();
        let range = request.headers().get("range").and_then(|range| range.to_str().ok()).map(str::to_owned);
        let body =
            request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let answer = match at.as_str() {
            path::CHECK_IN => self.check_in(&body),
            path::REPORTS => self.take_reports(&body),
            other => lock(&self.files).get(other).cloned(),
        };
        let Some(content) = answer else {
            let body = r#"{"code":"not_found","message":"there is nothing here","fields":[]}"#;
            return respond(StatusCode::NOT_FOUND, Bytes::from_static(body.as_bytes()), None);
        };
        let part = range.as_deref().and_then(|range| slice(range, content.len() as u64));
        match part {
            Some((from, to)) => {
                let total = content.len();
                let header = format!("bytes {from}-{}/{total}", to - 1);
                let bytes = Bytes::from(content).slice(from as usize..to as usize);
                respond(StatusCode::PARTIAL_CONTENT, bytes, Some(header))
            }
            None => respond(StatusCode::OK, content.into(), None),
        }
    }

    fn check_in(&self, body: &[u8]) -> Option<Vec<u8>> {
        let request: CheckInRequest = serde_json::from_slice(body).ok()?;
        let nonce = request.nonce.0.as_slice().try_into().ok()?;
        let at = lock(&self.at).unwrap_or_else(|| tls::Clock::now(&SystemClock));
        let check_in = CheckIn { device: *lock(&self.device), nonce, at }.sign(&self.link).ok()?;
        let response = CheckInResponse {
            check_in: Base64(check_in),
            poll_after: model::Seconds(1),
            offers: lock(&self.offers).clone(),
        };
        serde_json::to_vec(&response).ok()
    }

    fn take_reports(&self, body: &[u8]) -> Option<Vec<u8>> {
        let request: ReportsRequest = serde_json::from_slice(body).ok()?;
        let refused = request.reports.iter().map(|_| None).collect();
        lock(&self.reports).extend(request.reports.into_iter().map(|report| report.0));
        serde_json::to_vec(&ReportsResponse { refused }).ok()
    }
}

fn respond(status: StatusCode, body: Bytes, range: Option<String>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if let Some(range) = range.and_then(|range| range.parse().ok()) {
        response.headers_mut().insert("content-range", range);
    }
    response
}

/// `bytes=FROM-TO` as a half-open range within `length`.
fn slice(range: &str, length: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let to = to.parse::<u64>().map_or(length, |to| to.saturating_add(1)).min(length);
    (from < to).then_some((from, to))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
