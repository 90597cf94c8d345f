//! Adding, removing and rotating the ways into a vault.

use model::UnixTime;
use subtle::ConstantTimeEq;

use crate::{
    Error, Opener, Params, Share, SlotId, SlotInfo, SlotKind, Vault, check_passphrase,
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
        self.add_slot(label, SlotKind::Passphrase(derivation), &key, now)
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
        Ok((self.add_slot(label, kind, &key, now)?, shares))
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
        let left: Vec<Slot> = inner.file.slots.iter().filter(|slot| slot.info.id != id).cloned().collect();
        if !left.iter().any(|slot| slot.info.kind.counts()) {
            return Err(Error::LastSlot);
        }
        let intent = inner.intent("vault.remove_slot", &subject(&gone.info), "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.reslot(&mut inner, &left, &[], true)
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
            Opener::Shares(_) => matches!(info.kind, SlotKind::Passphrase(_)),
        };
        let (gone, left): (Vec<Slot>, Vec<Slot>) =
            inner.file.slots.iter().cloned().partition(|slot| goes(&slot.info));
        let label = gone.first().map_or("", |slot| slot.info.label.as_str());
        let added = (label, SlotKind::Passphrase(derivation), &key, now);
        let intent = inner.intent("vault.change_passphrase", "", "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.reslot(&mut inner, &left, &[added], true)
    }

    fn add_slot(&self, label: &str, kind: SlotKind, key: &Secret, now: UnixTime) -> Result<SlotInfo, Error> {
        let mut inner = self.unlocked()?;
        let left = inner.file.slots.clone();
        if left.len() == MAX_SLOTS {
            return Err(Error::TooManySlots { most: MAX_SLOTS });
        }
        let intent = inner.intent("vault.add_slot", kind.as_str(), "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.reslot(&mut inner, &left, &[(label, kind, key, now)], false)?;
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
