//! The keyring of this computer: the Secret Service of the user's session, over D-Bus.
//!
//! What it keeps is half a key at most, and travels the session's bus encrypted.

use crate::{Error, sealed::Secret};

#[cfg(target_os = "linux")]
pub(crate) use service::{read, remove, write};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{read, remove, write};

#[cfg(target_os = "linux")]
mod service {
    use std::{collections::HashMap, thread};

    use secret_service::{
        EncryptionType, Error as Refusal,
        blocking::{Item, SecretService},
    };
    use zeroize::Zeroizing;

    use super::{Error, Secret};

    /// Puts `secret` under this name, in the place of what is there, and shows `label` with it.
    pub(crate) fn write(entry: &[u8; 16], label: &str, secret: &Secret) -> Result<(), Error> {
        let failed = refused("keep the vault's part");
        ask(|service| {
            let keyring = service.get_any_collection().map_err(&failed)?;
            if keyring.is_locked().map_err(&failed)? {
                keyring.unlock().map_err(&failed)?;
            }
            let name = name(entry);
            let kept =
                keyring.create_item(label, attributes(&name), &secret[..], true, "application/octet-stream");
            kept.map(drop).map_err(&failed)
        })
    }

    /// What was put under this name.
    pub(crate) fn read(entry: &[u8; 16]) -> Result<Secret, Error> {
        find(entry, |item| {
            let bytes = Zeroizing::new(item.get_secret().map_err(refused("give the vault's part"))?);
            let mut secret = Secret::default();
            if bytes.len() != secret.len() {
                return Err(Error::KeyringLacks);
            }
            secret.copy_from_slice(&bytes);
            Ok(secret)
        })
    }

    /// Takes it out.
    pub(crate) fn remove(entry: &[u8; 16]) -> Result<(), Error> {
        find(entry, |item| item.delete().map_err(refused("remove the vault's part")))
    }

    fn find<T: Send>(
        entry: &[u8; 16],
        with: impl FnOnce(&Item<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let failed = refused("look for the vault's part");
        ask(|service| {
            let name = name(entry);
            let found = service.search_items(attributes(&name)).map_err(&failed)?;
            if let Some(item) = found.unlocked.first() {
                return with(item);
            }
            let item = found.locked.first().ok_or(Error::KeyringLacks)?;
            item.unlock().map_err(&failed)?;
            with(item)
        })
    }

    /// On a thread of its own: the bus waits, and whoever calls may be on an event loop.
    fn ask<T: Send>(
        question: impl FnOnce(&SecretService<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let asked = || {
            let service = SecretService::connect(EncryptionType::Dh)
                .map_err(|error| Error::NoKeyring { reason: error.to_string() })?;
            question(&service)
        };
        thread::scope(|scope| scope.spawn(asked).join()).unwrap_or(Err(Error::Provider))
    }

    fn attributes(entry: &str) -> HashMap<&str, &str> {
        HashMap::from([("application", "fleetseal"), ("entry", entry)])
    }

    fn name(entry: &[u8; 16]) -> String {
        entry.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "keyrings have more reasons than anybody can act on")]
    fn refused(action: &'static str) -> impl Fn(Refusal) -> Error {
        move |error| match error {
            Refusal::Locked | Refusal::Prompt | Refusal::PromptDisconnected => Error::KeyringLocked,
            Refusal::Unavailable | Refusal::NoResult => Error::NoKeyring { reason: error.to_string() },
            other => Error::KeyringFailed { action, reason: other.to_string() },
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{Error, Secret};

    pub(crate) fn write(_: &[u8; 16], _: &str, _: &Secret) -> Result<(), Error> {
        Err(none())
    }

    pub(crate) fn read(_: &[u8; 16]) -> Result<Secret, Error> {
        Err(none())
    }

    pub(crate) fn remove(_: &[u8; 16]) -> Result<(), Error> {
        Err(none())
    }

    fn none() -> Error {
        Error::NoKeyring { reason: "only the Secret Service of Linux is known here".to_owned() }
    }
}
