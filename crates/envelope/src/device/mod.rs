//! What a device decides: whether it installs what it is offered, and what it remembers of it.
//!
//! [`verify_offer`] does every check, in the one order that the formats prescribe, and yields an
//! [`Order`] whose parts only it can make. [`State`] changes by its transitions alone; the caller
//! stores it in two copies before it acts on what it says.

mod clock;
mod offer;
mod refusal;
mod state;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use offer::{Basis, Hold, Install, Offer, OfferedLink, Order, verify_offer};
pub use refusal::Refusal;
pub use state::{ComponentState, IllegalStep, MAX_ATTEMPTS, State, Trial, TrialStep};

pub use crate::tuf::StateLost;
