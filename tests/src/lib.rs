//! The suites at the boundaries: real backend, agents and commands on loopback.
