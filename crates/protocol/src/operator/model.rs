use model::{Component, HardwareRevision, ModelName};
use serde::{Deserialize, Serialize};

/// What the fleet's people declared of a model: what a release for it is checked against before it is
/// proposed. Devices check for themselves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct DeviceModel {
    /// The model.
    pub model: ModelName,
    /// The revisions of its hardware.
    pub hardware_revisions: Vec<HardwareRevision>,
    /// The room for each of its components.
    pub slots: Vec<Slot>,
}

/// Where a component is written to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Slot {
    /// The component.
    pub component: Component,
    /// The largest artifact that fits, in bytes.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub bytes: u64,
}
