use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    audit, bench, demo, desk, device, fleet, link, model, release, request, rollout, serve, sim, vault,
};

/// Secure updates for industrial devices.
///
/// Exit codes: 0 done; 1 our fault; 2 wrong usage; 3 not allowed, locked or refused; 4 not found;
/// 5 the state of things does not allow it; 6 bad input; 7 not trusted; 8 not reachable or busy;
/// 9 disk full; 10 a rule was broken in the demo; 130 canceled.
#[derive(Debug, Parser)]
#[command(name = "fleetseal", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    /// The folder with your vault, your identity and the fleet you joined [default: in your data folder]
    #[arg(long, global = true, env = "FLEETSEAL_WORKSPACE", value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    /// Write the result as JSON to stdout, and errors as JSON to stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read the passphrase from this file descriptor instead of asking
    #[arg(long, global = true, value_name = "N")]
    pub(crate) passphrase_fd: Option<i32>,
    /// Read the PIN of a token from this file descriptor instead of asking
    #[arg(long, global = true, value_name = "N")]
    pub(crate) pin_fd: Option<i32>,
    /// The token that the PIN is for, by its serial number, where the vault has keys in several
    #[arg(long = "pin-token", global = true, value_name = "SERIAL")]
    pub(crate) pin_token: Option<String>,
    /// Go ahead with a dangerous command without asking
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) area: Area,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Area {
    /// Your key vault
    #[command(subcommand)]
    Vault(vault::Verb),
    /// The fleet, its people and its alarms
    #[command(subcommand)]
    Fleet(fleet::Verb),
    /// Devices and their certificates
    #[command(subcommand)]
    Device(device::Verb),
    /// Models: what releases for them are checked against
    #[command(subcommand)]
    Model(model::Verb),
    /// Releases: propose, review, sign, seal, publish
    #[command(subcommand)]
    Release(release::Verb),
    /// Requests for signatures: show, sign, carry as files
    #[command(subcommand)]
    Request(request::Verb),
    /// Rollouts: plan, start, watch
    #[command(subcommand)]
    Rollout(rollout::Verb),
    /// The audit trail: list it, cosign it, export and verify it
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Download links
    #[command(subcommand)]
    Link(link::Verb),
    /// The service bench: devices on the table, over USB and serial
    #[command(subcommand)]
    Bench(bench::Verb),
    /// The screens: in their own window, or in a browser on this computer
    Desk(desk::Options),
    /// Run the backend
    Serve(serve::Options),
    /// The whole story on this machine, from founding a fleet to a confirmed update
    Demo(demo::Options),
    /// Simulated devices against a backend
    Sim(Box<sim::Options>),
    /// Write shell completions
    Completions {
        /// For which shell
        shell: Shell,
    },
}
