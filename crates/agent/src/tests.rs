//! Whole devices against a backend in this process: real TLS, real metadata, real tickets; the wire, the
//! disk and the boot loader are ours, and fail when we say so.

mod backend;
mod board;
mod enrolments;
mod fleet;
mod networks;
mod power_cuts;
mod updates;
