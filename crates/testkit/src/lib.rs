//! Fake clock, throwaway keys, fault-injecting transports. For tests only.
//!
//! [`Fleet`] is founded in memory with fresh keys; [`Running`] is a real backend of that fleet on
//! loopback; [`Device`] and [`Member`] are who talks to it, over a [`Client`] that does what it is told,
//! also what no honest client does.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod client;
mod clock;
mod device;
mod fleet;
mod rollout;
mod running;

pub use client::{Answered, Client, Stream};
pub use clock::FakeClock;
pub use device::Device;
pub use fleet::{Fleet, Member};
pub use rollout::{Payload, Released};
pub use running::Running;
