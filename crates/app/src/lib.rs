//! The application's one API: what a screen, a script or a test can ask for, in one command table.
//!
//! [`App`] is a person at work in a workspace. It holds the vault and speaks to one backend through
//! the operator API over mutual TLS, the embedded backend included. What the backend says is only
//! ever reported or checked, never believed: see the design's *What a desktop must not believe*.

mod audit;
mod bench;
mod board;
mod bundle;
mod change;
mod check;
mod client;
pub mod command;
pub mod demo;
mod descriptors;
mod desk;
mod device;
pub mod dto;
mod enrolment;
mod error;
mod expiry;
mod fleet;
mod founding;
pub mod host;
mod job;
mod layout;
mod library;
mod link;
mod memory;
mod next;
mod pages;
mod people;
mod plan;
mod proposal;
mod purpose;
mod receipts;
mod recovery;
mod release;
mod renewal;
mod replace;
mod reports;
mod request;
mod rollout;
mod sealing;
mod server;
mod signer;
mod simulation;
mod slots;
mod statement;
mod tickets;
mod tokens;
mod trust;
mod vaults;
mod visit;
mod visits;
mod watch;
mod witness;
mod words;
mod workspace;

pub use ::bench::doctor::UDEV_RULES;
pub use board::{BoardKeys, BoardPlan, RunningBoard, Trouble, Wire};
pub use desk::{App, harden};
pub use error::Error;
pub use founding::Founding;
pub use model;
pub use next::next_step;
pub use protocol::{self, ErrorCode};
pub use sealing::{SealedFile, seal_file};
pub use server::{ServerConfig, Shutdown, adopt_fleet, init_backend, renew_backend_keys, serve, serve_on};
pub use sim::{FaultMix, Latency};
pub use simulation::Simulation;
pub use words::digest_words;
pub use workspace::{default_workspace, read_as, read_bytes, read_json, read_text, write_json, write_secret};
