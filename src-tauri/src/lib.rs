//! The desktop's shell: windows, menus, tray, dialogs and notifications around [`app::host`]. It passes
//! on what the windows ask and decides nothing.

mod commands;
mod menu;
mod notice;
mod options;
mod tray;
mod windows;

use std::{process::ExitCode, sync::Arc};

use app::{
    Error,
    host::{Host, Window},
};
use serde_json::json;
use tauri::{AppHandle, Builder, Manager as _, RunEvent, Runtime, async_runtime};

pub use options::{Options, without_automation};

/// Runs until the last window is closed and the tray is left.
///
/// # Errors
/// Another desktop of this user is at work, its folder cannot be used, or there is no display.
pub fn run(options: &Options) -> Result<(), Error> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FLEETSEAL_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let shell = |source| Error::internal("the windows could not be opened", source);
    let builder = configure(tauri::Builder::default())
        .plugin(tauri_plugin_single_instance::init(|app, _, _| windows::show(app, windows::MAIN)));
    let app = builder.build(tauri::generate_context!()).map_err(shell)?;
    let host = async_runtime::block_on(begin(options))?;
    app.manage(Arc::clone(&host));
    windows::open(app.handle()).map_err(shell)?;
    app.set_menu(menu::menu(app.handle()).map_err(shell)?).map_err(shell)?;
    let tray = tray::open(app.handle());
    app.manage(windows::StaysInTray(tray));
    async_runtime::spawn(notice::watch(app.handle().clone(), host.events()));
    app.run(move |_, event| {
        if let RunEvent::Exit = event {
            async_runtime::block_on(host.stop());
        }
    });
    Ok(())
}

/// What the real program and its tests share: commands and plugins.
fn configure<R: Runtime>(builder: Builder<R>) -> Builder<R> {
    builder
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_notification::init())
        .manage(commands::Subscriptions::default())
        .invoke_handler(commands::handler())
        .on_menu_event(|app, event| menu::chosen(app, event.id().as_ref()))
        .on_window_event(windows::happened)
}

async fn begin(options: &Options) -> Result<Arc<Host>, Error> {
    let host = Host::start(&options.home()?).await?;
    if options.training {
        let request = json!({ "name": "", "kind": "training", "devices": options.devices });
        let job = json!({ "command": "workspace.create", "request": request });
        host.rpc(Window::Main, "job.start", job).await?;
    }
    Ok(host)
}

/// The host, once it is there.
fn host<R: Runtime>(app: &AppHandle<R>) -> Option<Arc<Host>> {
    app.try_state::<Arc<Host>>().map(|host| Arc::clone(&host))
}

/// Says why the program ends.
#[expect(clippy::print_stderr, reason = "there is no window to say it in")]
pub fn complain(error: &Error) -> ExitCode {
    let body = error.body();
    eprintln!("error: {} ({})", body.message, body.code);
    for more in [&body.detail, &body.hint].into_iter().flatten() {
        eprintln!("  {more}");
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests;
