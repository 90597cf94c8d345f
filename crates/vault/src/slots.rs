//! Adding, removing and rotating the ways into a vault.

use model::UnixTime;
use subtle::ConstantTimeEq;

use crate::{
    Agreement, Algorithm, Error, KeyId, KeyringPart, Opener, Params, Share, SlotId, SlotInfo, SlotKind,
    TokenKey, TokenSerial, Vault, check_passphrase,
    file::MAX_SLOTS,
    inside::{Change, Inner},
    sealed::{Secret, random_secret},
    share::split,
    slot::{Derivation, Slot},
};

impl Vault {
    /// The ways in, oldest first.
    pub fn slots(&self) -> Vec<SlotInfo> {
        self.inner().file.slots.iter().map(|slot| slot.info.clone()).collect()
    }

    /// Adds a passphrase beside the ways in that there are.
    ///
    /// # Errors
    /// The vault is locked, the passphrase is weak, there are sixteen slots already, or the save failed.
    pub fn add_passphrase(
        &self,
        label: &str,
        passphrase: &str,
        params: Params,
        now: UnixTime,
    ) -> Result<SlotInfo, Error> {
        drop(self.unlocked()?);
        check_passphrase(passphrase, self.holder().as_str())?;
        let derivation = Derivation::new(params)?;
        let key = derivation.derive(passphrase)?;
        self.add_slot(label, SlotKind::Passphrase(derivation), &key, None, now)
    }

    /// Adds a token whose PIN was entered before, beside the ways in that there are or in the place of one of
    /// them: with the P-256 key in it that has this id, or a fresh one. It has opened the slot once before it is
    /// kept.
    ///
    /// # Errors
    /// The vault is locked, the token is not there or refuses, it has no such key or one that could leave it or
    /// is used already, there are sixteen slots, or the save failed.
    pub fn add_token(
        &self,
        label: &str,
        serial: &TokenSerial,
        key: Option<&[u8]>,
        replaces: Option<SlotId>,
        now: UnixTime,
    ) -> Result<SlotInfo, Error> {
        let tokens = self.tokens(serial)?;
        let pin = self.unlocked()?.pin(serial)?;
        let key = match key {
            None => self.with_pin(serial, || tokens.generate_agreeing(serial, &pin))?,
            Some(id) => {
                let wanted = |key: &TokenKey| key.id == id && key.algorithm == Algorithm::P256;
                let found = tokens.keys(serial)?.into_iter().find(wanted);
                found.ok_or_else(|| Error::TokenKeyMissing { serial: serial.clone() })?
            }
        };
        if self.unlocked()?.uses(&key.public) {
            return Err(Error::KeyTwice { id: KeyId::of(&key.public) });
        }
        let (agreement, key) = Agreement::new(serial, key)?;
        let opened = self.with_pin(serial, || agreement.open(&tokens, &pin, &|| Ok(())))?;
        if !bool::from(opened[..].ct_eq(&key[..])) {
            return Err(Error::TokenKeyOther { serial: serial.clone() });
        }
        self.add_slot(label, SlotKind::Token(Box::new(agreement)), &key, replaces, now)
    }

    /// Adds a passphrase that opens the vault only together with this computer's keyring, beside the ways in that
    /// there are or in the place of one of them. Nobody can rely on it alone: it is gone with the computer.
    ///
    /// # Errors
    /// The vault is locked, the passphrase is weak, no keyring answers or it is locked, no slot that one can rely
    /// on would be left, there are sixteen slots already, or the save failed.
    pub fn add_keyring(
        &self,
        label: &str,
        passphrase: &str,
        params: Params,
        replaces: Option<SlotId>,
        now: UnixTime,
    ) -> Result<SlotInfo, Error> {
        drop(self.unlocked()?);
        check_passphrase(passphrase, self.holder().as_str())?;
        let (part, key) = KeyringPart::new(&self.id(), passphrase, params)?;
        let added = self.add_slot(label, SlotKind::Keyring(part), &key, replaces, now);
        if added.is_err() {
            part.forget();
        }
        added
    }

    /// Makes a set of `count` recovery shares, any `threshold` of which open the vault. The shares are given
    /// out here and never again. Nobody can rely on them before [`Self::test_shares`].
    ///
    /// # Errors
    /// The vault is locked, the numbers are not `2 <= threshold <= count <= 16`, there are sixteen slots
    /// already, or the save failed.
    pub fn make_shares(
        &self,
        label: &str,
        threshold: u8,
        count: u8,
        now: UnixTime,
    ) -> Result<(SlotInfo, Vec<Share>), Error> {
        drop(self.unlocked()?);
        let key = random_secret()?;
        let (set, shares) = split(&key, threshold, count)?;
        let kind = SlotKind::Shares { set, threshold, count, proven_at: None };
        Ok((self.add_slot(label, kind, &key, None, now)?, shares))
    }

    /// Opens the vault with shares as a rehearsal, and remembers that it opened: from then on one can rely
    /// on the set.
    ///
    /// # Errors
    /// The vault is locked, the shares are too few, of several sets, of another vault or wrong, or the save
    /// failed.
    pub fn test_shares(&self, shares: &[Share], now: UnixTime) -> Result<SlotInfo, Error> {
        let file = self.unlocked()?.file.clone();
        let (master, id) = self.shared.tries.open(&file, &Opener::Shares(shares), now)?;
        let mut inner = self.unlocked()?;
        let open = inner.open.as_ref().ok_or(Error::Locked)?;
        if !bool::from(open.master[..].ct_eq(&master[..])) {
            return Err(Error::SlotForeign { id });
        }
        let mut slots = inner.file.slots.clone();
        let slot = slots.iter_mut().find(|slot| slot.info.id == id).ok_or(Error::UnknownSlot { id })?;
        if let SlotKind::Shares { proven_at, .. } = &mut slot.info.kind {
            *proven_at = Some(now);
        }
        let info = slot.info.clone();
        let intent = inner.intent("vault.test_shares", &subject(&info), "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.shared.save(&mut inner, Change { slots: Some(slots), ..Change::default() })?;
        Ok(info)
    }

    /// Removes a way in. The master key is made anew and kept generations are removed, so that what is
    /// saved from now on never opens with it; copies and backups made before still do.
    ///
    /// # Errors
    /// The vault is locked, there is no such slot, no slot that one can rely on would be left, or the save
    /// failed.
    pub fn remove_slot(&self, id: SlotId, now: UnixTime) -> Result<(), Error> {
        let mut inner = self.unlocked()?;
        let gone =
            inner.file.slots.iter().find(|slot| slot.info.id == id).ok_or(Error::UnknownSlot { id })?;
        let part = gone.info.kind.keyring_part();
        let left: Vec<Slot> = inner.file.slots.iter().filter(|slot| slot.info.id != id).cloned().collect();
        if !left.iter().any(|slot| slot.info.kind.counts()) {
            return Err(Error::LastSlot);
        }
        let intent = inner.intent("vault.remove_slot", &subject(&gone.info), "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.reslot(&mut inner, &left, &[], true)?;
        if let Some(part) = part {
            part.forget();
        }
        Ok(())
    }

    /// Puts a new passphrase in the place of the one that `old` is or, if `old` is no passphrase, of all there
    /// are, under a new master key. Kept generations are removed, for the old passphrase opens them; backups
    /// made before still open with it.
    ///
    /// # Errors
    /// The vault is locked, `old` opens nothing, the new passphrase is weak, or the save failed.
    pub fn change_passphrase(
        &self,
        old: &Opener<'_>,
        new: &str,
        params: Params,
        now: UnixTime,
    ) -> Result<(), Error> {
        let file = self.unlocked()?.file.clone();
        check_passphrase(new, file.holder.as_str())?;
        let (_, opened) = self.shared.tries.open(&file, old, now)?;
        let derivation = Derivation::new(params)?;
        let key = derivation.derive(new)?;
        let mut inner = self.unlocked()?;
        let goes = |info: &SlotInfo| match old {
            Opener::Passphrase(_) => info.id == opened,
            Opener::Keyring(_) | Opener::Shares(_) | Opener::Token { .. } => {
                matches!(info.kind, SlotKind::Passphrase(_))
            }
        };
        let (gone, left): (Vec<Slot>, Vec<Slot>) =
            inner.file.slots.iter().cloned().partition(|slot| goes(&slot.info));
        let label = gone.first().map_or("", |slot| slot.info.label.as_str());
        let added = (label, SlotKind::Passphrase(derivation), &key, now);
        let intent = inner.intent("vault.change_passphrase", "", "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.reslot(&mut inner, &left, &[added], true)
    }

    fn add_slot(
        &self,
        label: &str,
        kind: SlotKind,
        key: &Secret,
        replaces: Option<SlotId>,
        now: UnixTime,
    ) -> Result<SlotInfo, Error> {
        let mut inner = self.unlocked()?;
        let goes = |slot: &&Slot| Some(slot.info.id) == replaces;
        let gone = inner.file.slots.iter().find(goes).map(|slot| slot.info.clone());
        if let (Some(id), None) = (replaces, &gone) {
            return Err(Error::UnknownSlot { id });
        }
        let left: Vec<Slot> = inner.file.slots.iter().filter(|slot| !goes(slot)).cloned().collect();
        if gone.is_some() && !kind.counts() && !left.iter().any(|slot| slot.info.kind.counts()) {
            return Err(Error::LastSlot);
        }
        if left.len() == MAX_SLOTS {
            return Err(Error::TooManySlots { most: MAX_SLOTS });
        }
        let instead = |gone: &SlotInfo| format!("in the place of {}", subject(gone));
        let reason = gone.as_ref().map(instead).unwrap_or_default();
        let intent = inner.intent("vault.add_slot", kind.as_str(), &reason, now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.reslot(&mut inner, &left, &[(label, kind, key, now)], gone.is_some())?;
        if let Some(part) = gone.and_then(|gone| gone.kind.keyring_part()) {
            part.forget();
        }
        Ok(inner.file.slots.last().ok_or(Error::Locked)?.info.clone())
    }

    /// Saves with these slots and new ones, all under a new master key; `forget` removes kept generations,
    /// which a slot that is gone would open.
    fn reslot(
        &self,
        inner: &mut Inner,
        left: &[Slot],
        added: &[(&str, SlotKind, &Secret, UnixTime)],
        forget: bool,
    ) -> Result<(), Error> {
        let vault = inner.file.id;
        let master = random_secret()?;
        let old = &inner.open.as_ref().ok_or(Error::Locked)?.master;
        let mut slots =
            left.iter().map(|slot| slot.rewrap(&vault, old, &master)).collect::<Result<Vec<_>, _>>()?;
        for (label, kind, key, now) in added {
            slots.push(Slot::new(&vault, (label, kind.clone()), key, &master, *now)?);
        }
        self.shared.save(inner, Change { slots: Some(slots), master: Some(master), ..Change::default() })?;
        if forget && let Err(error) = self.shared.prune(0) {
            tracing::warn!(%error, "failed to remove generations that an old slot opens");
        }
        Ok(())
    }
}

fn subject(info: &SlotInfo) -> String {
    format!("{} {}", info.kind.as_str(), info.id)
}
