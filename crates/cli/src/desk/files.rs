//! Files between a browser and the commands, which take and write files of this computer. They lie in a
//! folder that goes with the program.

use std::{
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use app::{Error, ErrorCode};
use axum::{
    Json,
    body::Body,
    extract::{Path as InPath, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use serde::Serialize;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::bridge::{Door, failed, refusal};

/// The folder.
pub(super) struct Files {
    dir: TempDir,
    next: AtomicU32,
}

/// A file's two names.
#[derive(Serialize)]
struct Place {
    /// For a command.
    path: String,
    /// For the page.
    url: String,
}

impl Files {
    pub(super) fn new() -> Result<Self, Error> {
        let dir =
            tempfile::tempdir().map_err(|source| Error::internal("there is no place for files", source))?;
        Ok(Self { dir, next: AtomicU32::new(1) })
    }

    /// A fresh place for a file of this name.
    fn place(&self, name: &str) -> Result<Place, Error> {
        let plain = below(Path::new(""), name).is_some_and(|path| path == Path::new(name));
        if !plain {
            return Err(
                Error::new(ErrorCode::InvalidRequest, "this is no file's name").detail(name.to_owned())
            );
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.dir.path().join(number.to_string());
        std::fs::create_dir(&folder)
            .map_err(|source| Error::internal("there is no place for files", source))?;
        let path = folder.join(name).display().to_string();
        Ok(Place { path, url: format!("/files/{number}/{name}") })
    }
}

/// Takes a file that a person dropped in the page.
pub(super) async fn put(State(door): State<Arc<Door>>, InPath(name): InPath<String>, body: Body) -> Response {
    let write = async {
        let place = door.files.place(&name)?;
        let failed = |source: std::io::Error| {
            let full = source.kind() == std::io::ErrorKind::StorageFull;
            let code = if full { ErrorCode::StorageFull } else { ErrorCode::Internal };
            Error::new(code, format!("`{name}` could not be taken")).detail(source.to_string())
        };
        let mut file = tokio::fs::File::create_new(&place.path).await.map_err(failed)?;
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|source| Error::internal("the page stopped sending", source))?;
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        Ok::<_, Error>(place)
    };
    match write.await {
        Ok(place) => Json(place).into_response(),
        Err(error) => failed(&error),
    }
}

/// Makes a place for a file that a command will write.
pub(super) async fn reserve(State(door): State<Arc<Door>>, InPath(name): InPath<String>) -> Response {
    match door.files.place(&name) {
        Ok(place) => Json(place).into_response(),
        Err(error) => failed(&error),
    }
}

/// Gives a file that a command wrote.
pub(super) async fn get(
    State(door): State<Arc<Door>>,
    InPath((number, name)): InPath<(u32, String)>,
) -> Response {
    let folder = door.files.dir.path().join(number.to_string());
    let missing = || refusal(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such file");
    let Some(path) = below(&folder, &name) else { return missing() };
    match tokio::fs::read(&path).await {
        Ok(bytes) => (
            [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, "attachment")],
            bytes,
        )
            .into_response(),
        Err(_) => missing(),
    }
}

/// The file that an address names below a folder; none if it leads out of it, or names none.
pub(super) fn below(folder: &Path, address: &str) -> Option<PathBuf> {
    let address = address.trim_start_matches('/');
    let address = if address.is_empty() { "index.html" } else { address };
    // Names of built files need no escapes; with one, an address names nothing here.
    if address.contains(['%', '\\', '\0', ':']) {
        return None;
    }
    let path = Path::new(address);
    path.components().all(|part| matches!(part, Component::Normal(_))).then(|| folder.join(path))
}

/// What a file of the screens is, by its name.
pub(super) fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_never_leads_out_of_the_folder() {
        let folder = Path::new("/ui");
        assert_eq!(below(folder, "/"), Some("/ui/index.html".into()));
        assert_eq!(below(folder, "/assets/a.js"), Some("/ui/assets/a.js".into()));
        for address in ["/../x", "/a/../../x", "/%2e%2e/x", "/..%2fx", "/a/./../b", "/..\\x", "/C:/x", "/a\0"]
        {
            assert_eq!(below(folder, address), None, "{address}");
        }
    }
}
