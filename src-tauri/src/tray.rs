use std::panic::{AssertUnwindSafe, catch_unwind};

use tauri::{
    AppHandle, Runtime,
    tray::{TrayIconBuilder, TrayIconEvent},
};

use crate::{menu, windows};

/// Puts the program into the tray; whether there is one.
pub(crate) fn open<R: Runtime>(app: &AppHandle<R>) -> bool {
    // Where the desktop's library for trays is missing, the crate that loads it panics.
    let opened = catch_unwind(AssertUnwindSafe(|| build(app)));
    match opened {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::info!(%error, "there is no tray");
            false
        }
        Err(_) => false,
    }
}

fn build<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    let mut tray = TrayIconBuilder::with_id("fleetseal").tooltip("Fleetseal").menu(&menu::tray(app)?);
    if let Some(icon) = app.default_window_icon() {
        tray = tray.icon(icon.clone());
    }
    tray.on_tray_icon_event(|tray, event| {
        if let TrayIconEvent::DoubleClick { .. } = event {
            windows::show(tray.app_handle(), windows::MAIN);
        }
    })
    .build(app)?;
    Ok(())
}
