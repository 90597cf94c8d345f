use app::host::Window;
use serde_json::json;
use tauri::{
    AppHandle, Runtime, async_runtime,
    menu::{Menu, MenuItem, PredefinedMenuItem, Submenu},
};

use crate::{host, windows};

const SHOW: &str = "show";
const VAULT: &str = "vault";
const LOCK: &str = "lock";
const QUIT: &str = "quit";

/// The menu of the main window.
pub(crate) fn menu<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<Menu<R>> {
    let line = PredefinedMenuItem::separator(app)?;
    let vault = item(app, VAULT, "Open the vault", Some("CmdOrCtrl+Shift+U"))?;
    let lock = item(app, LOCK, "Lock the vault", Some("CmdOrCtrl+Shift+L"))?;
    let quit = item(app, QUIT, "Quit", Some("CmdOrCtrl+Q"))?;
    let file = Submenu::with_items(app, "Fleetseal", true, &[&vault, &lock, &line, &quit])?;
    let edit = Submenu::with_items(
        app,
        "Edit",
        true,
        &[
            &PredefinedMenuItem::undo(app, None)?,
            &PredefinedMenuItem::redo(app, None)?,
            &line,
            &PredefinedMenuItem::cut(app, None)?,
            &PredefinedMenuItem::copy(app, None)?,
            &PredefinedMenuItem::paste(app, None)?,
            &PredefinedMenuItem::select_all(app, None)?,
        ],
    )?;
    Menu::with_items(app, &[&file, &edit])
}

/// The menu of the tray.
pub(crate) fn tray<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<Menu<R>> {
    Menu::with_items(
        app,
        &[
            &item(app, SHOW, "Show Fleetseal", None)?,
            &item(app, VAULT, "Open the vault", None)?,
            &item(app, LOCK, "Lock the vault", None)?,
            &PredefinedMenuItem::separator(app)?,
            &item(app, QUIT, "Quit", None)?,
        ],
    )
}

/// Does what was chosen in either menu.
pub(crate) fn chosen<R: Runtime>(app: &AppHandle<R>, id: &str) {
    match id {
        SHOW => windows::show(app, windows::MAIN),
        VAULT => windows::show(app, windows::VAULT),
        LOCK => {
            if let Some(host) = host(app) {
                let locked = host.rpc(Window::Vault, "vault.lock", json!({}));
                async_runtime::spawn(async move {
                    if let Err(error) = locked.await {
                        tracing::warn!(%error, "the vault could not be locked");
                    }
                });
            }
        }
        QUIT => app.exit(0),
        _ => {}
    }
}

fn item<R: Runtime>(
    app: &AppHandle<R>,
    id: &str,
    text: &str,
    accelerator: Option<&str>,
) -> tauri::Result<MenuItem<R>> {
    MenuItem::with_id(app, id, text, true, accelerator)
}
