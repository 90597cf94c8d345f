//! What a person is told who looks elsewhere.

use std::collections::HashSet;

use app::host::{Events, HostEvent, JobState};
use tauri::{AppHandle, Manager as _, Runtime};
use tauri_plugin_notification::NotificationExt as _;

use crate::windows;

/// Opens the vault's window for what waits there, and tells of jobs that ended.
pub(crate) async fn watch<R: Runtime>(app: AppHandle<R>, mut events: Events) {
    let mut waiting = HashSet::new();
    while let Some(batch) = events.next().await {
        for event in batch {
            match event {
                HostEvent::Ceremonies { pending } => {
                    let now: HashSet<u32> = pending.iter().map(|ceremony| ceremony.id).collect();
                    if let Some(new) = pending.iter().find(|ceremony| !waiting.contains(&ceremony.id)) {
                        windows::show(&app, windows::VAULT);
                        tell(&app, "Something waits for your consent", &new.title);
                    }
                    waiting = now;
                }
                HostEvent::Job { job } => match job.state {
                    JobState::Succeeded => tell(&app, "Done", &job.command),
                    JobState::Failed => {
                        let why = job.error.map(|error| error.message).unwrap_or_default();
                        tell(&app, "A job failed", &why);
                    }
                    JobState::Running | JobState::Canceled | JobState::Interrupted => {}
                },
                HostEvent::Connection(_)
                | HostEvent::Vault { .. }
                | HostEvent::Changed(_)
                | HostEvent::Visit { .. }
                | HostEvent::Workspace { .. } => {}
            }
        }
    }
}

/// Unless one of our windows is in front, where it shows anyway.
fn tell<R: Runtime>(app: &AppHandle<R>, title: &str, body: &str) {
    let in_front =
        |label| app.get_webview_window(label).is_some_and(|window| window.is_focused().unwrap_or(false));
    if in_front(windows::MAIN) || in_front(windows::VAULT) {
        return;
    }
    if let Err(error) = app.notification().builder().title(title).body(body).show() {
        tracing::debug!(%error, "there are no notifications here");
    }
}
