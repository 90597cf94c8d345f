//! What a window may invoke. Which window may invoke which stands in `capabilities/`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use app::{
    Error, ErrorCode,
    host::{Host, HostEvent, Window},
    protocol::ErrorBody,
};
use serde_json::Value;
use tauri::{
    AppHandle, Runtime, State, WebviewWindow,
    async_runtime::{self, JoinHandle},
    ipc::{Channel, Invoke},
};
use tauri_plugin_dialog::{DialogExt as _, FilePath};
use tokio::sync::oneshot;

use crate::windows;

/// The channels of events, one for each window.
#[derive(Default)]
pub(crate) struct Subscriptions(Mutex<HashMap<String, JoinHandle<()>>>);

pub(crate) fn handler<R: Runtime>() -> impl Fn(Invoke<R>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![rpc, vault_rpc, subscribe, pick_files, save_file, open_vault, close_vault]
}

/// A command of the table, from the screens.
#[tauri::command]
pub(crate) async fn rpc(
    host: State<'_, Arc<Host>>,
    name: String,
    request: Value,
) -> Result<Value, ErrorBody> {
    host.rpc(Window::Main, &name, request).await.map_err(body)
}

/// A command of the table, from the vault's window.
#[tauri::command]
pub(crate) async fn vault_rpc(
    host: State<'_, Arc<Host>>,
    name: String,
    request: Value,
) -> Result<Value, ErrorBody> {
    host.rpc(Window::Vault, &name, request).await.map_err(body)
}

/// The window's channel of events. Another one takes its place.
#[tauri::command]
pub(crate) async fn subscribe<R: Runtime>(
    window: WebviewWindow<R>,
    host: State<'_, Arc<Host>>,
    subscriptions: State<'_, Subscriptions>,
    channel: Channel<Vec<HostEvent>>,
) -> Result<(), ErrorBody> {
    let mut events = host.events();
    let task = async_runtime::spawn(async move {
        while let Some(batch) = events.next().await {
            if channel.send(batch).is_err() {
                break;
            }
        }
    });
    let mut all = subscriptions.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(before) = all.insert(window.label().to_owned(), task) {
        before.abort();
    }
    Ok(())
}

/// Asks the person for files: their paths, or none.
#[tauri::command]
pub(crate) async fn pick_files<R: Runtime>(
    app: AppHandle<R>,
    extensions: Vec<String>,
    several: bool,
) -> Result<Vec<String>, ErrorBody> {
    let mut dialog = app.dialog().file();
    if !extensions.is_empty() {
        let extensions: Vec<&str> = extensions.iter().map(String::as_str).collect();
        dialog = dialog.add_filter(extensions.join(", "), &extensions);
    }
    let (say, heard) = oneshot::channel();
    // The window may be gone before the person decides.
    if several {
        dialog.pick_files(|files| drop(say.send(files.unwrap_or_default())));
    } else {
        dialog.pick_file(|file| drop(say.send(file.into_iter().collect())));
    }
    heard.await.unwrap_or_default().into_iter().map(path).collect::<Result<_, _>>().map_err(body)
}

/// Asks the person where to write a file: its path, or none.
#[tauri::command]
pub(crate) async fn save_file<R: Runtime>(
    app: AppHandle<R>,
    name: String,
) -> Result<Option<String>, ErrorBody> {
    let (say, heard) = oneshot::channel();
    app.dialog().file().set_file_name(name).save_file(|file| drop(say.send(file)));
    heard.await.ok().flatten().map(path).transpose().map_err(body)
}

/// Brings the vault's window to the front.
#[tauri::command]
#[expect(clippy::needless_pass_by_value, reason = "a command owns its arguments")]
pub(crate) fn open_vault<R: Runtime>(app: AppHandle<R>) {
    windows::show(&app, windows::VAULT);
}

/// Puts the vault's window away.
#[tauri::command]
#[expect(clippy::needless_pass_by_value, reason = "a command owns its arguments")]
pub(crate) fn close_vault<R: Runtime>(window: WebviewWindow<R>) {
    windows::hide(&window);
}

fn path(file: FilePath) -> Result<String, Error> {
    let unusable =
        |detail: String| Error::new(ErrorCode::InvalidRequest, "this place cannot be used").detail(detail);
    let path = file.into_path().map_err(|source| unusable(source.to_string()))?;
    path.into_os_string().into_string().map_err(|path| unusable(path.display().to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "what a failure is mapped by takes it")]
fn body(error: Error) -> ErrorBody {
    error.body().clone()
}
