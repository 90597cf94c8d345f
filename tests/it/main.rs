//! The real programs, `fleetseal` and `fleetseal-agent`, as processes on loopback.

mod by_hand;
mod device;
mod fleet;
mod program;
