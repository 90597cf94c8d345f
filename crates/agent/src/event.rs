use model::{Component, DeploymentId, DeploymentState, UnixTime, Version};
use protocol::ErrorCode;

/// What happens on a device, for whoever watches: a log, a simulation, a test.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The backend answered a check-in.
    CheckedIn {
        /// The backend's clock, as it says.
        server_time: UnixTime,
        /// How much is on offer.
        offers: usize,
    },
    /// The push stream is open, or no longer.
    Push {
        /// Which of the two.
        open: bool,
    },
    /// An offer came over the push stream.
    Pushed {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// The backend cannot be reached, or something that it sent is not taken; it is tried again.
    Trouble {
        /// What went wrong.
        code: ErrorCode,
    },
    /// An offer was refused, and the refusal is reported.
    Refused {
        /// The deployment.
        deployment: DeploymentId,
        /// Why, as a word.
        code: String,
    },
    /// A deployment came to a new state.
    Deployment {
        /// The deployment.
        deployment: DeploymentId,
        /// What it updates.
        component: Component,
        /// The version that it brings.
        version: Version,
        /// Where it stands.
        state: DeploymentState,
        /// Why, as a word, where it did not succeed.
        code: Option<String>,
    },
    /// More ciphertext is staged and verified.
    Staged {
        /// The deployment.
        deployment: DeploymentId,
        /// How much is staged.
        bytes: u64,
        /// How much there is.
        total_bytes: u64,
    },
}
