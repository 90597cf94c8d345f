use protocol::ErrorBody;
use serde::Serialize;
use ts_rs::TS;

use super::{Host, registry::WorkspaceRow, table::HostShow};
use crate::{Error, command::Handle, dto::Nothing};

/// The program at a glance.
#[derive(Clone, Debug, Serialize, TS)]
pub struct HostStatus {
    /// Its version.
    pub version: String,
    /// Where workspaces are kept.
    pub home: String,
    /// The workspace in use; none before the first run is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub current: Option<WorkspaceRow>,
    /// Backends of this computer that could not be started: in which workspace, and why.
    pub problems: Vec<(String, ErrorBody)>,
}

impl Handle<HostShow> for Host {
    async fn handle(&self, _: Nothing) -> Result<HostStatus, Error> {
        Ok(HostStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: self.home().display().to_string(),
            current: self.current_row(),
            problems: self.backends().problems().await,
        })
    }
}
