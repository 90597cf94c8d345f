//! Simulated fleets that speak the real protocols: for training, demonstrations, tests and load.
//!
//! A simulated device is the agent's own engine over a disk in memory; what is simulated is the world
//! around it: its line, its installer, and the moods of both ([`Fault`]). Beside the honest devices
//! stand an [`Intruder`], who has a device's keys and no manners, and a [`TakenOver`] backend, which
//! has every online key and lies.

pub mod board;
mod device;
mod fault;
mod fleet;
mod installer;
mod intruder;
mod line;
mod taken_over;

pub use device::{Plan, SimDevice};
pub use fault::{Fault, FaultMix};
pub use fleet::{Arrivals, Fleet, Latency, Report, Tally};
pub use installer::SimInstaller;
pub use intruder::{Answer, Intruder, is_refusal};
pub use taken_over::{TakenOver, TakenOverError};
