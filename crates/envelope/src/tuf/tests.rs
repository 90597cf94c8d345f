//! A repository in memory that can be made to lie, and the clients that must not believe it.
//!
//! `conformance` restates, one test each, what TUF's public conformance suite asks of a client
//! without delegations; `attacks` is what the suite does not ask for.

mod attacks;
mod conformance;
mod repository;
