//! The two windows. Neither leaves its own pages.

use tauri::{
    AppHandle, Manager as _, Runtime, Url, WebviewWindow, WebviewWindowBuilder, Window, WindowEvent,
    webview::NewWindowResponse,
};

/// The screens.
pub(crate) const MAIN: &str = "main";
/// The vault.
pub(crate) const VAULT: &str = "vault";

/// Whether the program stays in the tray when its window is closed.
pub(crate) struct StaysInTray(pub(crate) bool);

/// Opens both; the vault's stays hidden until it is needed.
pub(crate) fn open<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    for config in &app.config().app.windows {
        WebviewWindowBuilder::from_config(app, config)?
            .on_navigation(is_ours)
            .on_new_window(|_, _| NewWindowResponse::Deny)
            .build()?;
    }
    Ok(())
}

pub(crate) fn show<R: Runtime>(app: &AppHandle<R>, label: &str) {
    let Some(window) = app.get_webview_window(label) else { return };
    let shown = window.show().and_then(|()| window.unminimize()).and_then(|()| window.set_focus());
    if let Err(error) = shown {
        tracing::warn!(%error, label, "a window could not be shown");
    }
}

pub(crate) fn hide<R: Runtime>(window: &WebviewWindow<R>) {
    if let Err(error) = window.hide() {
        tracing::warn!(%error, label = window.label(), "a window could not be hidden");
    }
}

/// The vault's window is put away and not closed; so is the main one, while there is a tray.
pub(crate) fn happened<R: Runtime>(window: &Window<R>, event: &WindowEvent) {
    let WindowEvent::CloseRequested { api, .. } = event else { return };
    let app = window.app_handle();
    let stays = app.try_state::<StaysInTray>().is_some_and(|stays| stays.0);
    if window.label() == VAULT || stays {
        api.prevent_close();
        if let Some(window) = app.get_webview_window(window.label()) {
            hide(&window);
        }
    } else {
        app.exit(0);
    }
}

/// Whether an address is one of the built-in pages.
pub(crate) fn is_ours(url: &Url) -> bool {
    match url.scheme() {
        "tauri" => url.host_str() == Some("localhost"),
        // What the same pages are called on Windows.
        "http" | "https" => url.host_str() == Some("tauri.localhost") && url.port().is_none(),
        _ => false,
    }
}
