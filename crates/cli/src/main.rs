//! Fleetseal on the command line: the same commands that the screens have, for scripts and servers.

mod args;
mod audit;
mod bench;
mod board;
mod change;
mod demo;
mod desk;
mod device;
mod ending;
mod fleet;
mod link;
mod model;
mod output;
mod parse;
mod passphrase;
mod release;
mod request;
mod rollout;
mod serve;
mod sim;
mod vault;

use std::process::ExitCode;

use app::{App, Error, dto::Opening};
use args::{Area, Args, UnlockWith};
use clap::{CommandFactory as _, Parser as _};
use output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json);
    app::harden();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return output.failure(&Error::internal("the runtime could not be started", source)),
    };
    match runtime.block_on(run(args, &output)) {
        Ok(code) => code,
        Err(error) => output.failure(&error),
    }
}

async fn run(args: Args, output: &Output) -> Result<ExitCode, Error> {
    let Args { workspace, passphrase_fd, pin_fd, pin_token, unlock_with, yes, area, .. } = args;
    let open = || {
        let dir = workspace.clone().map_or_else(app::default_workspace, Ok)?;
        let app = App::open(&dir)?;
        let pin_token = pin_token.clone();
        Ok::<_, Error>(Session { app, output, passphrase_fd, pin_fd, pin_token, unlock_with, yes })
    };
    match area {
        Area::Vault(verb) => vault::run(&open()?, verb).await,
        Area::Fleet(verb) => fleet::run(&open()?, verb).await,
        Area::Device(verb) => device::run(&open()?, verb).await,
        Area::Model(verb) => model::run(&open()?, verb).await,
        Area::Release(verb) => release::run(&open()?, verb).await,
        Area::Request(verb) => request::run(&open()?, verb).await,
        Area::Rollout(verb) => return rollout::run(&open()?, verb).await,
        Area::Audit(verb) => audit::run(&open()?, verb).await,
        Area::Link(verb) => link::run(&open()?, verb).await,
        Area::Serve(verb) => serve::run(output, verb).await,
        Area::Desk(options) => desk::run(output, options).await,
        Area::Demo(options) => return demo::run(output, options).await,
        Area::Bench(verb) => bench::run(&open()?, verb).await,
        Area::Sim(options) => match *options {
            sim::Options { what: Some(sim::What::Board(board)), .. } => board::run(open, output, board).await,
            sim::Options { what: None, fleet } => sim::run(&open()?, fleet).await,
        },
        Area::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "fleetseal", &mut script);
            output.text(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// One invocation in one workspace.
struct Session<'a> {
    app: App,
    output: &'a Output,
    passphrase_fd: Option<i32>,
    pin_fd: Option<i32>,
    pin_token: Option<String>,
    unlock_with: Option<UnlockWith>,
    yes: bool,
}

impl Session<'_> {
    /// Asks for the passphrase and unlocks the vault, and the token that keys of it live in.
    async fn unlock(&self) -> Result<(), Error> {
        let opened = self.opening("Passphrase").await?;
        // The PIN that opened the vault opens the keys in that token, too.
        let by_token = matches!(opened.with, Opening::Token { .. });
        let status = self.app.run::<app::command::VaultUnlock>(opened).await?;
        if by_token {
            return Ok(());
        }
        let in_token = status.keys.iter().any(|key| key.token.is_some());
        let pin = if self.pin_fd.is_some() {
            passphrase::ask("", self.pin_fd)?
        } else if in_token && passphrase::has_terminal() {
            passphrase::ask("PIN of the token (empty to go on without it)", None)?
        } else {
            return Ok(());
        };
        if pin.expose().is_empty() { Ok(()) } else { self.enter_pin(self.pin_token.clone(), pin).await }
    }

    /// Asks for what opens the vault: what was said, or the first kind of slot that it has.
    async fn opening(&self, prompt: &str) -> Result<app::dto::Passphrase, Error> {
        self.opening_near(prompt, None).await
    }

    /// The same, where a token is about to be used: if the vault shall be opened with one, then with that, so
    /// that its PIN is asked for once.
    async fn opening_near(&self, prompt: &str, near: Option<&str>) -> Result<app::dto::Passphrase, Error> {
        // Without a vault, a backup may have slots.
        let list = self.app.run::<app::command::VaultSlots>(app::dto::Nothing {}).await;
        let slots = list.map(|list| list.slots).unwrap_or_default();
        let has = |kind: &str| slots.iter().any(|slot| slot.kind == kind);
        let with = match self.unlock_with {
            Some(with) => with,
            None if has("passphrase") => UnlockWith::Passphrase,
            None if has("keyring") => UnlockWith::Keyring,
            None if has("token") => UnlockWith::Token,
            None => UnlockWith::Passphrase,
        };
        let (secret, with) = match with {
            UnlockWith::Passphrase => (passphrase::ask(prompt, self.passphrase_fd)?, Opening::Passphrase),
            UnlockWith::Keyring => (passphrase::ask(prompt, self.passphrase_fd)?, Opening::Keyring),
            UnlockWith::Token => {
                let opens = |token: &&str| slots.iter().any(|slot| slot.token.as_deref() == Some(token));
                let token = self.pin_token.clone().or_else(|| near.filter(opens).map(str::to_owned));
                (passphrase::ask("PIN of the token", self.pin_fd)?, Opening::Token { token })
            }
        };
        Ok(app::dto::Passphrase { passphrase: secret, with })
    }

    async fn enter_pin(&self, token: Option<String>, pin: app::dto::Secret) -> Result<(), Error> {
        self.app.run::<app::command::VaultEnterPin>(app::dto::EnterPin { token, pin }).await.map(drop)
    }

    /// Shows what a dangerous command would do, and asks.
    fn confirm(&self, preview: &app::dto::Preview) -> Result<(), Error> {
        self.output.preview(preview);
        let agreed = match &preview.type_to_confirm {
            _ if self.yes => true,
            Some(text) => passphrase::typed(text),
            None => passphrase::confirm("Go ahead?"),
        };
        if agreed {
            return Ok(());
        }
        Err(Error::new(app::ErrorCode::Canceled, "nothing was done").hint("repeat it with --yes to go ahead"))
    }
}
