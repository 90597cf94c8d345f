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
/// 9 disk full; 10 a rule was broken in the demo; 11 a rollout that was watched did not succeed everywhere;
/// 130 canceled.
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
    /// What to open the vault with [default: a passphrase, if there is a slot for one]
    #[arg(long, global = true, value_enum, value_name = "KIND")]
    pub(crate) unlock_with: Option<UnlockWith>,
    /// Go ahead with a dangerous command without asking
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) area: Area,
}

/// What opens the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum UnlockWith {
    /// A passphrase
    Passphrase,
    /// A passphrase, together with the keyring of this computer
    Keyring,
    /// A token and its PIN
    Token,
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The commands of a page: in blocks of shell, and named in a sentence.
    fn commands(page: &str) -> Vec<String> {
        let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
        let in_blocks = blocks.flat_map(|(block, _)| block.lines().map(str::trim));
        let prose: String = page.split("```").step_by(2).collect();
        let spans = prose.split('`').skip(1).step_by(2);
        let spans: Vec<String> =
            spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let all = in_blocks.map(str::to_owned).chain(spans);
        all.filter(|command| command.starts_with("fleetseal ")).collect()
    }

    /// The words of a command, with something in each place that a reader fills.
    fn words(command: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (at, part) in command.split('"').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(filled));
            }
        }
        words
    }

    fn filled(word: &str) -> String {
        match word {
            "SPKI" => "0".repeat(64),
            "DEVICE" => format!("dev_{}", "0".repeat(32)),
            "..." => "operator".to_owned(),
            word => word
                .strip_suffix("...")
                .map_or_else(|| word.to_owned(), |id| format!("{id}{}", "0".repeat(32))),
        }
    }

    #[test]
    fn every_command_that_a_runbook_names_is_one() {
        let runbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks");
        let mut seen = 0;
        for page in fs::read_dir(runbooks).unwrap() {
            let path = page.unwrap().path();
            // All of that one is played as it stands.
            if path.ends_with("ceremony.md") {
                continue;
            }
            for command in commands(&fs::read_to_string(&path).unwrap()) {
                let parsed = Args::try_parse_from(words(&command));
                assert!(parsed.is_ok(), "{}: `{command}`: {}", path.display(), parsed.unwrap_err());
                seen += 1;
            }
        }
        assert!(seen > 30, "the runbooks' commands are found: {seen}");
    }
}
