//! The way from a browser's page to the host: loopback alone, and nobody but the page that was opened
//! with the one-time secret.

use std::{
    path::{Path as FilePath, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use app::{
    Error, ErrorCode,
    host::{Events, Host, Window, secret},
};
use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::files::{self, Files};

/// The longest request. Files go another way.
const REQUEST_BYTES: usize = 4 << 20;

/// One window's server.
pub(crate) struct Bridge {
    listener: TcpListener,
    door: Arc<Door>,
    secret: Zeroizing<String>,
}

/// What stands between a page and the host.
pub(super) struct Door {
    host: Arc<Host>,
    window: Window,
    /// `127.0.0.1:port`: the one value of `Host`, and with `http://` the one value of `Origin`.
    authority: String,
    keys: Mutex<Keys>,
    ui: PathBuf,
    pub(super) files: Files,
}

/// The secret until it is used, then the session's token.
enum Keys {
    Secret(Zeroizing<String>),
    Bearer(Zeroizing<String>),
}

#[derive(Deserialize)]
struct Opening {
    secret: String,
}

impl Bridge {
    /// Opens a port of its own on loopback: another window is another origin.
    pub(crate) async fn open(host: Arc<Host>, window: Window, ui: &FilePath) -> Result<Self, Error> {
        let none = |source| Error::internal("there is no port to listen on", source);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(none)?;
        let authority = listener.local_addr().map_err(none)?.to_string();
        let ui = ui.canonicalize().map_err(|source| {
            Error::new(ErrorCode::NotFound, format!("there are no screens in `{}`", ui.display()))
                .detail(source.to_string())
        })?;
        let secret = secret();
        let keys = Mutex::new(Keys::Secret(secret.clone()));
        let door = Arc::new(Door { host, window, authority, keys, ui, files: Files::new()? });
        Ok(Self { listener, door, secret })
    }

    /// Where a browser opens it, once.
    pub(crate) fn address(&self) -> String {
        let page = match self.door.window {
            Window::Main => "",
            Window::Vault => "vault.html",
        };
        format!("http://{}/{page}#secret={}", self.door.authority, *self.secret)
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self) -> Result<(), Error> {
        axum::serve(self.listener, router(self.door))
            .await
            .map_err(|source| Error::internal("the bridge has ended", source))
    }
}

fn router(door: Arc<Door>) -> Router {
    let inner = Router::new()
        .route("/rpc/{name}", post(rpc))
        .route("/events", get(events))
        .route("/files/{name}", put(files::put).post(files::reserve))
        .route("/files/{number}/{name}", get(files::get))
        .layer(from_fn_with_state(Arc::clone(&door), check_bearer));
    inner
        .route("/session", post(session))
        .fallback(screen)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .layer(from_fn_with_state(Arc::clone(&door), check_origin))
        .with_state(door)
}

/// Refuses whoever reaches this port by another name, as a page of another site would (DNS rebinding),
/// and every page of another origin. Sees that no answer is of use to one.
async fn check_origin(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let mut response = match door.admits(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => refusal(StatusCode::FORBIDDEN, ErrorCode::Forbidden, why),
    };
    let headers = response.headers_mut();
    for (name, value) in door.window.headers() {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    response
}

async fn check_bearer(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    if bearer.is_some_and(|bearer| door.knows(bearer)) {
        return next.run(request).await;
    }
    refusal(StatusCode::UNAUTHORIZED, ErrorCode::Forbidden, "the page has no session here")
}

/// Exchanges the one-time secret for the session's token.
async fn session(State(door): State<Arc<Door>>, Json(opening): Json<Opening>) -> Response {
    match door.exchange(&opening.secret) {
        Some(bearer) => Json(serde_json::json!({ "bearer": *bearer })).into_response(),
        None => refusal(StatusCode::UNAUTHORIZED, ErrorCode::Forbidden, "this address was used already"),
    }
}

async fn rpc(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    Json(request): Json<Value>,
) -> Response {
    match door.host.rpc(door.window, &name, request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => failed(&error),
    }
}

/// Batches of events, one JSON array a line, until one side ends.
async fn events(State(door): State<Arc<Door>>) -> Response {
    let lines = stream::unfold(door.host.events(), |mut events: Events| async {
        let batch = events.next().await?;
        let mut line = serde_json::to_vec(&batch).ok()?;
        line.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(line), events))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// A file of the screens.
async fn screen(State(door): State<Arc<Door>>, method: Method, uri: Uri) -> Response {
    let missing = || refusal(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such page");
    if method != Method::GET && method != Method::HEAD {
        return missing();
    }
    let Some(path) = files::below(&door.ui, uri.path()) else { return missing() };
    match tokio::fs::read(&path).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, files::media_type(&path))], bytes).into_response(),
        Err(_) => missing(),
    }
}

impl Door {
    fn admits(&self, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
        let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        if all(header::HOST) != [self.authority.as_bytes()] {
            return Err("this is not the name of this host");
        }
        let own = format!("http://{}", self.authority);
        let origins = all(header::ORIGIN);
        let reads = method == Method::GET || method == Method::HEAD;
        if origins.iter().any(|origin| *origin != own.as_bytes()) || (origins.is_empty() && !reads) {
            return Err("another origin may not ask here");
        }
        let sites = ["same-origin", "none"];
        let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if site.is_some_and(|site| !sites.contains(&site)) {
            return Err("another site may not ask here");
        }
        Ok(())
    }

    fn exchange(&self, secret: &str) -> Option<Zeroizing<String>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let Keys::Secret(expected) = &*keys else { return None };
        if !same(expected, secret) {
            return None;
        }
        let bearer = app::host::secret();
        *keys = Keys::Bearer(bearer.clone());
        Some(bearer)
    }

    fn knows(&self, bearer: &str) -> bool {
        match &*self.keys.lock().unwrap_or_else(PoisonError::into_inner) {
            Keys::Secret(_) => false,
            Keys::Bearer(expected) => same(expected, bearer),
        }
    }
}

/// What a window's answers say of themselves.
trait Headers {
    fn headers(self) -> &'static [(&'static str, &'static str)];
}

macro_rules! headers {
    ($style:literal) => {
        &[
            (
                "content-security-policy",
                concat!(
                    "default-src 'none'; script-src 'self'; style-src 'self'",
                    $style,
                    "; img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; \
                     base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                ),
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ]
    };
}

impl Headers for Window {
    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // The components of the screens write style elements.
            Self::Main => headers!(" 'unsafe-inline'"),
            Self::Vault => headers!(""),
        }
    }
}

fn same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

/// An error as the screens read it.
pub(super) fn failed(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(error.body().clone())).into_response()
}

pub(super) fn refusal(status: StatusCode, code: ErrorCode, why: &str) -> Response {
    (status, Json(Error::new(code, why).body().clone())).into_response()
}

#[cfg(test)]
mod tests;
