//! The real programs, `fleetseal` and `fleetseal-agent`, as processes on loopback.

mod bench;
mod by_hand;
mod ceremony;
mod crash;
mod demo;
mod device;
mod fleet;
mod memory;
mod program;
mod restored;
