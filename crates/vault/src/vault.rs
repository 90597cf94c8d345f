//! The vault: one folder, one key file, locked or unlocked.

use std::{
    fmt,
    fs::File,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use model::{PersonName, Seconds, UnixTime};

use crate::{
    AuditEntry, AuditHead, Error, Intent, KeyId, KeyInfo, KeyRole, Opener, Params, SlotKind,
    audit::Audit,
    check_passphrase,
    clock::Machine,
    delay::Tries,
    file::{Draft, KeyFile, Public},
    inside::{Change, Inner, Moment, Open, Shared, load, write},
    save::{Disk, Files, check_folder, generations, key_file, lock_folder, make_folder},
    sealed::{random, random_secret},
    slot::{Derivation, Slot},
};

/// A local key vault: a handle to one folder, shared by its clones. The folder stays closed to every
/// other program until the last one is dropped.
#[derive(Clone)]
pub struct Vault {
    pub(crate) shared: Arc<Shared>,
}

/// Names a vault for life.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VaultId([u8; 16]);

/// How long a vault stays unlocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Since the last [`Vault::touch`].
    pub idle: Seconds,
    /// Since it was unlocked, whatever happens.
    pub absolute: Seconds,
}

impl Vault {
    /// Makes a vault in `dir`, which is made too or must be the holder's alone, and leaves it unlocked.
    ///
    /// # Errors
    /// The passphrase is weak, a vault is there already, or the folder cannot be used.
    pub fn create(
        dir: &Path,
        holder: PersonName,
        passphrase: &str,
        params: Params,
        now: UnixTime,
    ) -> Result<Self, Error> {
        Self::create_on(Arc::new(Disk), dir, holder, passphrase, params, now)
    }

    /// Opens the vault in `dir`, locked.
    ///
    /// # Errors
    /// There is none, it is in use, others can read or write it, it is damaged, or it is older than
    /// last seen. In the last two cases [`Vault::restore`] brings a backup or an older generation back.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_on(Arc::new(Disk), dir)
    }

    /// Unlocks it with a passphrase. Takes as long as its [`Params`] say, 0.5 to 1 s: not to be called
    /// on an event loop.
    ///
    /// # Errors
    /// The passphrase is wrong, wrong tries before it still have to be waited for, or the file is
    /// damaged.
    pub fn unlock(&self, passphrase: &str, now: UnixTime) -> Result<(), Error> {
        self.unlock_with(&Opener::Passphrase(passphrase), now)
    }

    /// As [`Self::unlock`], with whatever opens one of its slots.
    ///
    /// # Errors
    /// It opens none, wrong tries before it still have to be waited for, or the file is damaged.
    pub fn unlock_with(&self, opener: &Opener<'_>, now: UnixTime) -> Result<(), Error> {
        let file = {
            let mut inner = self.inner();
            if inner.open.is_none() {
                // After a save that failed half way, the disk alone knows which file stands.
                inner.file = self.shared.load(&inner.file)?;
            }
            inner.file.clone()
        };
        let opened = self.shared.tries.open(&file, opener, now);
        let mut inner = self.inner();
        let intent = |action, slot: &str| inner.intent(action, slot, "", now);
        let (master, slot) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if matches!(
                    error,
                    Error::WrongPassphrase { .. } | Error::SharesWrong { .. } | Error::WrongPin { .. }
                ) {
                    inner.audit.append(&intent("vault.refuse", ""), inner.file.generation, None)?;
                }
                return Err(error);
            }
        };
        let secrets = inner.file.open(&master).map_err(|malformed| self.shared.damaged(malformed))?;
        inner.audit.append(&intent("vault.unlock", &slot.to_string()), inner.file.generation, None)?;
        let fresh = Open::new(master, secrets, now, &*inner.clock);
        inner.expire(Some(now));
        match &mut inner.open {
            // Whatever is being signed goes on, and PINs stay.
            Some(open) => (open.unlocked, open.touched) = (fresh.unlocked, fresh.touched),
            None => inner.open = Some(fresh),
        }
        if let (Opener::Token { serial, pin, .. }, Some(open)) = (opener, &mut inner.open) {
            open.keep_pin(serial, pin);
        }
        Ok(())
    }

    /// Wipes every secret from memory. To be called on suspend too.
    pub fn lock(&self) {
        self.inner().open = None;
    }

    /// Whether it is unlocked.
    pub fn is_unlocked(&self) -> bool {
        self.unlocked().is_ok()
    }

    /// Locks it if its time is over or the machine was suspended, and says whether it is still unlocked. To be
    /// called every few seconds.
    pub fn tick(&self, now: UnixTime) -> bool {
        let mut inner = self.inner();
        inner.expire(Some(now));
        inner.open.is_some()
    }

    /// As [`Self::tick`], and notes that a person is at work.
    pub fn touch(&self, now: UnixTime) -> bool {
        let mut inner = self.inner();
        inner.expire(Some(now));
        let moment = Moment::new(now, &*inner.clock);
        if let Some(open) = &mut inner.open {
            open.touched = moment;
        }
        inner.open.is_some()
    }

    /// When it will lock unless a person is at work; nothing while it is locked.
    pub fn locks_at(&self) -> Option<UnixTime> {
        let inner = self.unlocked().ok()?;
        let open = inner.open.as_ref()?;
        Some((open.touched.at + inner.lifetime.idle).min(open.unlocked.at + inner.lifetime.absolute))
    }

    /// Sets how long it stays unlocked, from now on.
    pub fn set_lifetime(&self, lifetime: Lifetime) {
        self.inner().lifetime = lifetime;
    }

    /// How long the next passphrase is refused after wrong ones.
    pub fn wait(&self, now: UnixTime) -> Seconds {
        self.shared.tries.wait(now)
    }

    /// Its name for life.
    pub fn id(&self) -> VaultId {
        self.inner().file.id
    }

    /// The person whose vault it is.
    pub fn holder(&self) -> PersonName {
        self.inner().file.holder.clone()
    }

    /// How often it was saved.
    pub fn generation(&self) -> u64 {
        self.inner().file.generation
    }

    /// All keys, oldest first.
    pub fn keys(&self) -> Vec<KeyInfo> {
        self.inner().file.infos()
    }

    /// The newest key with this role.
    ///
    /// # Errors
    /// There is none.
    pub fn key(&self, role: KeyRole) -> Result<KeyInfo, Error> {
        self.keys().into_iter().rfind(|key| key.role == role).ok_or(Error::NoRole { role })
    }

    /// An intent of the holder.
    pub fn intent(&self, action: &str, subject: &str, reason: &str, at: UnixTime) -> Intent {
        self.inner().intent(action, subject, reason, at)
    }

    /// Makes one key per role, in this order, and saves them together.
    ///
    /// # Errors
    /// The vault is locked or full, a role that may stand once is there already, or the save failed;
    /// then there is none of them.
    pub fn generate(&self, roles: &[KeyRole], intent: &Intent) -> Result<Vec<KeyInfo>, Error> {
        let mut inner = self.unlocked()?;
        inner.check_room(roles)?;
        inner.audit.append(intent, inner.file.generation, None)?;
        let since = inner.file.generation + 1;
        let make = |&role: &KeyRole| {
            let (secret, public) = role.algorithm().generate()?;
            let id = KeyId::of(&public);
            let public = Public { id, role, public, created_at: intent.at, since, token: None };
            Ok((public, Some(secret)))
        };
        let keys = roles.iter().map(make).collect::<Result<_, Error>>()?;
        self.shared.save(&mut inner, Change { keys, ..Change::default() })?;
        let mut infos = inner.file.infos();
        Ok(infos.split_off(infos.len() - roles.len()))
    }

    /// Writes an audit entry that needs no signature.
    ///
    /// # Errors
    /// The log cannot be written, or a text is too long.
    pub fn record(&self, intent: &Intent) -> Result<AuditHead, Error> {
        let inner = self.inner();
        inner.audit.append(intent, inner.file.generation, None)
    }

    /// Up to `limit` audit entries behind the one at place `after`, oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn audit_entries(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, Error> {
        self.inner().audit.entries(after, limit)
    }

    /// Recomputes the audit chain from its first entry, up to and beyond the head that the key file knows.
    ///
    /// # Errors
    /// An entry was edited, removed or reordered, or the end was cut off.
    pub fn verify_audit(&self) -> Result<AuditHead, Error> {
        let inner = self.inner();
        inner.audit.verify(inner.file.audit)
    }

    pub(crate) fn create_on(
        files: Arc<dyn Files>,
        dir: &Path,
        holder: PersonName,
        passphrase: &str,
        params: Params,
        now: UnixTime,
    ) -> Result<Self, Error> {
        check_passphrase(passphrase, holder.as_str())?;
        make_folder(dir)?;
        if key_file(dir).symlink_metadata().is_ok() || !generations(dir)?.is_empty() {
            return Err(Error::Exists { path: key_file(dir) });
        }
        let lock = lock_folder(dir)?;
        let tries = Tries::load(Arc::clone(&files), dir)?;
        let audit = Audit::open(dir)?;
        // An audit log that outlived its key file goes on where it stood.
        let generation = tries.last_seen().max(audit.generation()?) + 1;
        let id = VaultId(random()?);
        let master = random_secret()?;
        let derivation = Derivation::new(params)?;
        let key = derivation.derive(passphrase)?;
        let kind = SlotKind::Passphrase(derivation);
        let slots = vec![Slot::new(&id, ("", kind), &key, &master, now)?];
        let intent = Intent {
            actor: holder.clone(),
            action: "vault.create".to_owned(),
            subject: id.to_string(),
            reason: String::new(),
            at: now,
        };
        let audit_head = audit.append(&intent, generation - 1, None)?;
        let draft = Draft {
            id,
            holder,
            generation,
            created_at: now,
            audit: audit_head,
            slots,
            proof: None,
            keys: Vec::new(),
        };
        let file = draft.seal(&master)?;
        let open = Open::new(master, Vec::new(), now, &Machine);
        Self::publish(files, dir, lock, tries, audit, file, open, None)
    }

    pub(crate) fn open_on(files: Arc<dyn Files>, dir: &Path) -> Result<Self, Error> {
        check_folder(dir)?;
        if key_file(dir).symlink_metadata().is_err() && generations(dir)?.is_empty() {
            return Err(Error::Missing { path: dir.to_owned() });
        }
        let lock = lock_folder(dir)?;
        let file = load(&*files, dir)?;
        let tries = Tries::load(Arc::clone(&files), dir)?;
        let audit = Audit::open(dir)?;
        let last_seen = tries.last_seen().max(audit.generation()?);
        if file.generation < last_seen {
            return Err(Error::OlderThanLastSeen { generation: file.generation, last_seen });
        }
        Ok(Self::new(
            files,
            dir,
            lock,
            tries,
            Inner {
                file,
                audit,
                open: None,
                lifetime: Lifetime::default(),
                clock: Arc::new(Machine),
                tokens: None,
            },
        ))
    }

    /// Saves the first key file of a folder, or a restored one, and makes the handle.
    #[expect(clippy::too_many_arguments, reason = "the parts of a vault, put together here alone")]
    pub(crate) fn publish(
        files: Arc<dyn Files>,
        dir: &Path,
        lock: File,
        tries: Tries,
        audit: Audit,
        file: KeyFile,
        open: Open,
        keep: Option<&Path>,
    ) -> Result<Self, Error> {
        write(&*files, dir, &file, &open.master, keep).map_err(|failure| failure.error)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            files.sync_folder(parent)?;
        }
        tries.saw(file.generation)?;
        let inner = Inner {
            file,
            audit,
            open: Some(open),
            lifetime: Lifetime::default(),
            clock: Arc::new(Machine),
            tokens: None,
        };
        Ok(Self::new(files, dir, lock, tries, inner))
    }

    fn new(files: Arc<dyn Files>, dir: &Path, lock: File, tries: Tries, inner: Inner) -> Self {
        let folder = dir.to_owned();
        Self { shared: Arc::new(Shared { folder, files, tries, inner: Mutex::new(inner), _lock: lock }) }
    }

    /// The inside, locked or not.
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(|poisoned| {
            // Whoever panicked may have left half a change behind: the disk knows the truth.
            self.shared.inner.clear_poison();
            let mut inner = poisoned.into_inner();
            inner.open = None;
            inner
        })
    }

    /// The inside, if the vault is unlocked and its time is not over.
    pub(crate) fn unlocked(&self) -> Result<MutexGuard<'_, Inner>, Error> {
        let mut inner = self.inner();
        inner.expire(None);
        if inner.open.is_some() { Ok(inner) } else { Err(Error::Locked) }
    }
}

impl Default for Lifetime {
    /// 15 minutes idle, 12 hours in all.
    fn default() -> Self {
        Self { idle: Seconds::minutes(15), absolute: Seconds::hours(12) }
    }
}

impl VaultId {
    pub(crate) const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for VaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vlt_")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}
