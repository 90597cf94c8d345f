//! What commands take and give. Types of the operator API stand for themselves; what is here is the
//! application's own.

mod audit;
mod bench;
mod bundle;
mod change;
mod device;
mod fleet;
mod release;
mod request;
mod rollout;
mod slot;
mod token;
mod vault;
mod watch;

pub use audit::*;
pub use bench::*;
pub use bundle::*;
pub use change::*;
pub use device::*;
pub use fleet::*;
pub use protocol::operator::{
    AlarmRow, AuditRow, DeploymentRow, DeviceDetail, DeviceModel, DeviceRow, Enrolment, FleetOverview,
    FleetSummary, LinkEvent, LinkRow, Page, PageRequest, Person, Recovered, ReleaseDetail, ReleaseRow,
    RolloutDetail, RolloutRow, SignatureRequest, TimelineEntry,
};
pub use release::*;
pub use request::*;
pub use rollout::*;
use serde::{Deserialize, Serialize};
pub use slot::*;
pub use token::*;
use ts_rs::TS;
pub use vault::*;
pub use watch::*;

/// A request that needs no words.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, TS)]
pub struct Nothing {}

/// It is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Done {}

/// What a dangerous command would do, in counts, and the token that commits to exactly that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Preview {
    /// One sentence.
    pub summary: String,
    /// What it would touch: what, and how many.
    pub effects: Vec<Effect>,
    /// What a person types to confirm it, where a yes is too little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub type_to_confirm: Option<String>,
    /// Hand this back to commit. It is refused once the world has moved.
    pub token: String,
}

/// One line of a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Effect {
    /// What happens.
    pub effect: String,
    /// To how many.
    #[ts(type = "number")]
    pub count: u64,
}

/// Commits to what a preview showed.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct Commit<T> {
    /// As previewed.
    pub request: T,
    /// [`Preview::token`].
    pub token: String,
}
