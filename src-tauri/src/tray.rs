use std::{
    env,
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use tauri::{
    AppHandle, Runtime,
    tray::{TrayIconBuilder, TrayIconEvent},
};

use crate::{menu, windows};

/// Puts the program into the tray; whether there is one.
pub(crate) fn open<R: Runtime>(app: &AppHandle<R>) -> bool {
    // The library for trays says that all is well also where nobody shows any.
    if cfg!(target_os = "linux")
        && !bus(env::var_os("DBUS_SESSION_BUS_ADDRESS"), env::var_os("XDG_RUNTIME_DIR"))
    {
        tracing::info!("there is no tray without a session bus");
        return false;
    }
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

/// Whether there is a session bus, which a tray on Linux is reached by: at this address, or in this folder.
fn bus(address: Option<OsString>, runtime: Option<OsString>) -> bool {
    match address {
        Some(address) => !address.is_empty(),
        None => runtime.is_some_and(|folder| Path::new(&folder).join("bus").exists()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tray_needs_a_session_bus() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = || Some(folder.path().into());
        assert!(!bus(None, None) && !bus(Some(OsString::new()), runtime()) && !bus(None, runtime()));
        std::fs::write(folder.path().join("bus"), "").unwrap();
        assert!(bus(None, runtime()) && bus(Some("unix:path=/b".into()), None));
    }
}
