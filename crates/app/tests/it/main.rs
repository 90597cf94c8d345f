//! People at their desks and the backend of their fleet, in one process, under a clock that stands
//! still.
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod access;
mod deceived;
mod founding;
mod office;
mod publication;
mod releases;
