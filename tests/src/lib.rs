//! The suites at the boundaries: real backend, agents and commands on loopback. The library holds what
//! the fuzzer and the plain tests share, and what runs programs and drives the desktop's windows.

pub mod hostile;
pub mod program;
pub mod window;
