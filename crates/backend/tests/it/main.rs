//! A real backend on loopback, talked to over real TLS, with throwaway certificates and a clock that
//! the tests move.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod enrolment;
mod executor;
mod founding;
mod happy;
mod links;
mod logs;
mod membership;
mod metadata;
mod receipts;
mod release;
mod robustness;
mod roles;
mod support;
