//! Watches over the workspace in use: whether the backend is there, what it says changed, and how the
//! vault stands.

use std::{sync::Arc, time::Duration};

use protocol::{ErrorCode, operator::Hint};
use tls::Clock;
use tokio::{sync::Notify, time::sleep};

use super::event::{ConnectionState, Hub, VaultState};
use crate::{App, Error, Shutdown};

/// How long to wait before the connection is tried again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How often the vault is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The watcher of one workspace.
pub(crate) struct Watcher {
    pub(crate) app: Arc<App>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Something happened that may have made a connection possible.
    pub(crate) again: Arc<Notify>,
}

impl Watcher {
    /// Watches until `stop`.
    pub(crate) async fn run(self, stop: Shutdown) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.connection() => {}
            () = self.vault() => {}
        }
    }

    async fn vault(&self) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let (state, locks_at) = self.app.vault_state();
            self.hub.vault(state, locks_at);
        }
    }

    async fn connection(&self) {
        let mut pause = PAUSE.0;
        loop {
            if !self.app.is_member() {
                self.hub.connection(ConnectionState::None, self.clock.now(), None);
                self.again.notified().await;
                continue;
            }
            let lost = match self.follow(&mut pause).await {
                Ok(()) => Error::new(ErrorCode::NetworkUnreachable, "the backend closed the connection"),
                Err(error) => error,
            };
            self.hub.connection(ConnectionState::Offline, self.clock.now(), Some(lost.body().clone()));
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(PAUSE.1),
                () = self.again.notified() => pause = PAUSE.0,
            }
        }
    }

    /// Follows the backend's events until they end.
    async fn follow(&self, pause: &mut Duration) -> Result<(), Error> {
        let mut hints = self.app.hints().await?;
        self.hub.connection(ConnectionState::Online, self.clock.now(), None);
        // Whatever happened before this stream was open was not heard.
        self.hub.everything();
        *pause = PAUSE.0;
        while let Some(hint) = hints.next().await? {
            if let Hint::Ping { server_time } = &hint {
                let offset = i128::from(server_time.as_secs()) - i128::from(self.clock.now().as_secs());
                self.hub.server_offset(i64::try_from(offset).unwrap_or(0));
            }
            self.hub.hint(&hint);
        }
        Ok(())
    }
}

impl App {
    /// How the vault stands, and when it locks itself.
    pub(crate) fn vault_state(&self) -> (VaultState, Option<model::UnixTime>) {
        match self.vault() {
            Ok(vault) if vault.is_unlocked() => (VaultState::Unlocked, vault.locks_at()),
            Ok(_) => (VaultState::Locked, None),
            Err(error) if error.code() == ErrorCode::NotFound => (VaultState::None, None),
            Err(_) => (VaultState::Locked, None),
        }
    }
}
