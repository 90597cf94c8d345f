//! The nouns of Fleetseal, one word per thing, with the state machines that govern them.
//!
//! Pure: nothing here knows a clock, a file, a socket or a runtime. Time comes in as [`UnixTime`],
//! randomness as [`Random`]. Everything that arrives from outside is parsed into one of these types
//! once, at the edge, and is valid from then on.

mod deployment;
mod digest;
mod hex;
mod id;
mod instant;
mod link;
mod name;
pub mod planner;
mod random;
mod release;
mod role;
mod rollout;
mod version;

pub use deployment::{Deployment, DeploymentState, IllegalStep};
pub use digest::{Digest, KemKeyId, SpkiDigest};
pub use id::{
    ArtifactId, DeploymentId, DeviceId, FleetId, JobId, LinkId, ParseIdError, ReleaseId, RequestId,
    RolloutId, TokenId,
};
pub use instant::{ParseTimeError, Seconds, UnixTime};
pub use link::{LinkEnd, LinkState};
pub use name::{
    Component, HardwareRevision, InstallerName, ModelName, NameError, PersonName, Serial, StationName,
    TargetName,
};
pub use random::Random;
pub use release::{IllegalReleaseStep, ReleaseState};
pub use role::Role;
pub use rollout::{
    FailureThreshold, Gate, MaintenanceWindow, Percent, Phase, Policy, PolicyError, RateLimit, RolloutState,
};
pub use version::{ParseVersionError, SecurityCounter, Version};
