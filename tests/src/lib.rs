//! The suites at the boundaries: real backend, agents and commands on loopback. The library holds what
//! the fuzzer and the plain tests share.

pub mod hostile;
