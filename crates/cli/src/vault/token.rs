//! `vault token`: PKCS#11 tokens, and keys that live in them.

use std::path::PathBuf;

use app::{
    Error, ErrorCode,
    command::{VaultAdoptTokenKey, VaultForgetPins, VaultInitTokenKey, VaultTokens},
    dto::{AdoptTokenKey, InitTokenKey, ListTokens, Opening, TokenList, TokenName},
};
use clap::Subcommand;

use crate::{
    Session,
    output::table,
    passphrase::{ask, confirm},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the tokens that are plugged in, and the keys in them
    List {
        /// The PKCS#11 module to use from now on, such as /usr/lib/softhsm/libsofthsm2.so
        #[arg(long, value_name = "FILE")]
        module: Option<PathBuf>,
    },
    /// Make a key in a token. It signs there and never leaves it; no backup holds it
    InitKey {
        /// What the key is for, such as `targets` or `root`
        #[arg(long)]
        role: String,
        /// The token's serial number
        #[arg(long, value_name = "SERIAL")]
        token: String,
    },
    /// Take a key that is in a token already
    AdoptKey {
        /// What the key shall be for, such as `targets` or `root`
        #[arg(long)]
        role: String,
        /// The token's serial number
        #[arg(long, value_name = "SERIAL")]
        token: String,
        /// The key's id, as `token list` shows it
        #[arg(long, value_name = "ID")]
        key: String,
    },
    /// Take PINs again after two wrong ones, once the token's own tool says that it is not about to block
    ForgetPins {
        /// The token's serial number
        #[arg(long, value_name = "SERIAL")]
        token: String,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::List { module } => {
            let module = module.map(|module| module.display().to_string());
            let list = app.run::<VaultTokens>(ListTokens { module }).await?;
            output.result(&list, || describe(&list));
        }
        Verb::InitKey { role, token } => {
            unlock(session, &token).await?;
            let status = app.run::<VaultInitTokenKey>(InitTokenKey { token, role }).await?;
            output.result(&status, || super::describe(&status));
            output
                .note("no backup holds this key: another key holder's signature must be able to replace it");
        }
        Verb::AdoptKey { role, token, key } => {
            unlock(session, &token).await?;
            let status = app.run::<VaultAdoptTokenKey>(AdoptTokenKey { token, key, role }).await?;
            output.result(&status, || super::describe(&status));
        }
        Verb::ForgetPins { token } => {
            let question = format!("Does the tool of token {token} say that more than one try is left?");
            if !session.yes && !confirm(&question) {
                return Err(Error::new(ErrorCode::Canceled, "nothing was done")
                    .hint("repeat it with --yes to go ahead"));
            }
            let status = app.run::<VaultForgetPins>(TokenName { token }).await?;
            output.result(&status, || "PINs are taken again".to_owned());
        }
    }
    Ok(())
}

/// Opens the vault, and the token with it.
pub(super) async fn unlock(session: &Session<'_>, token: &str) -> Result<(), Error> {
    let opening = session.opening_near("Passphrase", Some(token)).await?;
    let by_token = matches!(&opening.with, Opening::Token { token: by } if by.as_deref() == Some(token));
    session.app.run::<app::command::VaultUnlock>(opening).await?;
    if by_token {
        return Ok(());
    }
    session.enter_pin(Some(token.to_owned()), ask(&format!("PIN of token {token}"), session.pin_fd)?).await
}

fn describe(list: &TokenList) -> String {
    let mut rows = vec![
        ["token", "label", "state", "key", "algorithm", "role", "public key"].map(str::to_owned).to_vec(),
    ];
    for token in &list.tokens {
        let state = match (token.blocked, token.last_try) {
            (true, _) => "blocked",
            (false, true) => "last try",
            (false, false) => "ready",
        };
        rows.push(vec![token.serial.clone(), token.label.clone(), state.to_owned()]);
        rows.extend(token.keys.iter().map(|key| {
            let role = key.role.clone().unwrap_or_default();
            let blank = String::new;
            vec![blank(), blank(), blank(), key.id.clone(), key.algorithm.clone(), role, key.public.clone()]
        }));
    }
    format!("module {}\n\n{}", list.module, table(&rows))
}
