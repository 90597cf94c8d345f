//! The bench against simulated boards on simulated lines, in simulated time.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod engine;
mod faults;
mod speed;
mod terminals;
mod visits;
mod world;
