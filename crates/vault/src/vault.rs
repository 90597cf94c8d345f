//! The vault: one folder, one key file, locked or unlocked.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use model::{PersonName, Seconds, TokenId, UnixTime};
use subtle::ConstantTimeEq;

use crate::{
    AuditEntry, AuditHead, Error, Intent, KeyId, KeyInfo, KeyRole, Params,
    audit::Audit,
    check_passphrase,
    delay::Tries,
    file::{Draft, KeyFile, MAX_KEYS, Malformed, Proof, Public},
    key::mac,
    save::{
        Disk, Failure, Files, Trust, check_folder, generations, kept, key_file, lock_folder, make_folder, replace,
    },
    sealed::{Secret, random, random_secret},
    slot::Slot,
};

/// How many older generations are kept beside the newest.
const KEPT: usize = 5;

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

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) tries: Tries,
    inner: Mutex<Inner>,
    _lock: File,
}

pub(crate) struct Inner {
    pub(crate) file: KeyFile,
    pub(crate) audit: Audit,
    pub(crate) open: Option<Open>,
    lifetime: Lifetime,
}

/// What is in memory while the vault is unlocked.
pub(crate) struct Open {
    pub(crate) master: Secret,
    /// In the order of the file's keys.
    pub(crate) secrets: Vec<Secret>,
    unlocked: Moment,
    touched: Moment,
}

/// What a save changes.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) slots: Option<(Vec<Slot>, Secret)>,
    pub(crate) proof: Option<Proof>,
    pub(crate) keys: Vec<(Public, Secret)>,
}

/// An instant on the caller's clock and on the machine's, which nobody can set back.
#[derive(Clone, Copy)]
struct Moment {
    at: UnixTime,
    clock: Instant,
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
        let file = {
            let mut inner = self.inner();
            if inner.open.is_none() {
                // After a save that failed half way, the disk alone knows which file stands.
                inner.file = self.shared.load(&inner.file)?;
            }
            inner.file.clone()
        };
        let opened = self.shared.tries.open(&file, passphrase, now);
        let mut inner = self.inner();
        let intent = |action| inner.intent(action, "", "", now);
        let master = match opened {
            Ok(master) => master,
            Err(error) => {
                if matches!(error, Error::WrongPassphrase { .. }) {
                    inner.audit.append(&intent("vault.refuse"), inner.file.generation, None)?;
                }
                return Err(error);
            }
        };
        let secrets = inner.file.open(&master).map_err(|malformed| self.shared.damaged(malformed))?;
        inner.audit.append(&intent("vault.unlock"), inner.file.generation, None)?;
        inner.open = Some(Open::new(master, secrets, now));
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

    /// Locks it if its time is over, and says whether it is still unlocked. To be called every few
    /// seconds.
    pub fn tick(&self, now: UnixTime) -> bool {
        let mut inner = self.inner();
        inner.expire(Some(now));
        inner.open.is_some()
    }

    /// As [`Self::tick`], and notes that a person is at work.
    pub fn touch(&self, now: UnixTime) -> bool {
        let mut inner = self.inner();
        inner.expire(Some(now));
        if let Some(open) = &mut inner.open {
            open.touched = Moment::new(now);
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
        let taken = |role, before: &[KeyRole]| {
            before.contains(&role) || inner.file.keys.iter().any(|entry| entry.public.role == role)
        };
        for (at, &role) in roles.iter().enumerate() {
            if role.is_single() && taken(role, &roles[..at]) {
                return Err(Error::OnlyOne { role });
            }
        }
        if inner.file.keys.len() + roles.len() > MAX_KEYS {
            return Err(Error::Full { most: MAX_KEYS });
        }
        inner.audit.append(intent, inner.file.generation, None)?;
        let since = inner.file.generation + 1;
        let make = |&role: &KeyRole| {
            let (secret, public) = role.algorithm().generate()?;
            let id = KeyId::of(&public);
            Ok((Public { id, role, public, created_at: intent.at, since }, secret))
        };
        let keys = roles.iter().map(make).collect::<Result<_, Error>>()?;
        self.shared.save(&mut inner, Change { keys, ..Change::default() })?;
        let mut infos = inner.file.infos();
        Ok(infos.split_off(infos.len() - roles.len()))
    }

    /// The secret of a one-time enrolment token: HMAC-SHA256 under the token key of the token's id and
    /// `binding`, the canonical bytes of what it is bound to. It is recomputed and never stored.
    ///
    /// # Errors
    /// The vault is locked or has no token key.
    pub fn enrolment_secret(
        &self,
        token: &TokenId,
        binding: &[u8],
    ) -> Result<zeroize::Zeroizing<[u8; 32]>, Error> {
        let key = self.single(KeyRole::Token)?;
        Ok(mac(&key, &[b"fleetseal-enrolment/1", token.as_bytes(), binding]).into())
    }

    /// A MAC over something that this vault shall recognise as remembered by itself.
    ///
    /// # Errors
    /// The vault is locked or has no memory key.
    pub fn memory_mac(&self, bytes: &[u8]) -> Result<[u8; 32], Error> {
        Ok(mac(&self.single(KeyRole::Memory)?, &[b"fleetseal-memory/1", bytes]))
    }

    /// Whether `mac` is this vault's over `bytes`, in constant time.
    ///
    /// # Errors
    /// The vault is locked or has no memory key.
    pub fn memory_verify(&self, bytes: &[u8], mac: &[u8; 32]) -> Result<bool, Error> {
        Ok(self.memory_mac(bytes)?[..].ct_eq(&mac[..]).into())
    }

    /// Puts a new passphrase in the place of the old one, under a new master key. Kept generations are
    /// removed, for the old passphrase opens them; backups made before still open with it.
    ///
    /// # Errors
    /// The vault is locked, the old passphrase is wrong, the new one weak, or the save failed.
    pub fn change_passphrase(
        &self,
        old: &str,
        new: &str,
        params: Params,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (file, holder) = {
            let inner = self.unlocked()?;
            (inner.file.clone(), inner.file.holder.clone())
        };
        check_passphrase(new, holder.as_str())?;
        self.shared.tries.open(&file, old, now)?;
        let master = random_secret()?;
        let slot = Slot::passphrase(&file.id, new, params, &master)?;
        let mut inner = self.unlocked()?;
        let intent = inner.intent("vault.change_passphrase", "", "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        self.shared.save(&mut inner, Change { slots: Some((vec![slot], master)), ..Change::default() })?;
        if let Err(error) = self.shared.prune(0) {
            tracing::warn!(%error, "failed to remove generations under the old passphrase");
        }
        Ok(())
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
        let slots = vec![Slot::passphrase(&id, passphrase, params, &master)?];
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
        let open = Open::new(master, Vec::new(), now);
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
        Ok(Self::new(files, dir, lock, tries, Inner { file, audit, open: None, lifetime: Lifetime::default() }))
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
        let inner = Inner { file, audit, open: Some(open), lifetime: Lifetime::default() };
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

    fn single(&self, role: KeyRole) -> Result<Secret, Error> {
        let inner = self.unlocked()?;
        let at = inner.file.keys.iter().position(|entry| entry.public.role == role);
        inner.secret(at.ok_or(Error::NoRole { role })?)
    }
}

impl Shared {
    /// Seals everything anew as the next generation and puts it in the place of the last.
    pub(crate) fn save(&self, inner: &mut Inner, change: Change) -> Result<(), Error> {
        let open = inner.open.as_mut().ok_or(Error::Locked)?;
        let file = &inner.file;
        let (slots, master) = match change.slots {
            Some((slots, master)) => (slots, Some(master)),
            None => (file.slots.clone(), None),
        };
        let new = change.keys.iter().map(|(public, secret)| (public.clone(), secret));
        let old = file.keys.iter().map(|entry| entry.public.clone()).zip(&open.secrets);
        let draft = Draft {
            id: file.id,
            holder: file.holder.clone(),
            generation: file.generation + 1,
            created_at: file.created_at,
            audit: inner.audit.head()?,
            slots,
            proof: change.proof.or(file.proof),
            keys: old.chain(new).collect(),
        };
        let next = draft.seal(master.as_ref().unwrap_or(&open.master))?;
        let keep = kept(&self.folder, file.generation);
        let written =
            write(&*self.files, &self.folder, &next, master.as_ref().unwrap_or(&open.master), Some(&keep));
        if let Err(Failure { error, published }) = written {
            if published {
                inner.open = None;
            }
            return Err(error);
        }
        open.secrets.extend(change.keys.into_iter().map(|(_, secret)| secret));
        if let Some(master) = master {
            open.master = master;
        }
        inner.file = next;
        // The new generation stands; what follows is housekeeping.
        if let Err(error) = self.tries.saw(inner.file.generation).and_then(|()| self.prune(KEPT)) {
            tracing::warn!(%error, "failed to tidy up after a save");
        }
        Ok(())
    }

    /// Removes all kept generations but the newest `keep`.
    pub(crate) fn prune(&self, keep: usize) -> Result<(), Error> {
        let old = generations(&self.folder)?.into_iter().skip(keep);
        old.map(|generation| self.files.remove(&kept(&self.folder, generation))).collect()
    }

    /// The file on the disk, if it is this vault's and no older than last seen.
    fn load(&self, known: &KeyFile) -> Result<KeyFile, Error> {
        let file = load(&*self.files, &self.folder)?;
        if file.id != known.id {
            return Err(self.damaged(Malformed("another vault's file")));
        }
        let last_seen = known.generation.max(self.tries.last_seen());
        if file.generation < last_seen {
            return Err(Error::OlderThanLastSeen { generation: file.generation, last_seen });
        }
        Ok(file)
    }

    fn damaged(&self, Malformed(reason): Malformed) -> Error {
        Error::Damaged { path: key_file(&self.folder), reason }
    }
}

impl Inner {
    /// A copy of the key at this place of the file.
    pub(crate) fn secret(&self, at: usize) -> Result<Secret, Error> {
        let secrets = &self.open.as_ref().ok_or(Error::Locked)?.secrets;
        Ok(secrets.get(at).ok_or(Error::Locked)?.clone())
    }

    pub(crate) fn intent(&self, action: &str, subject: &str, reason: &str, at: UnixTime) -> Intent {
        Intent {
            actor: self.file.holder.clone(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            reason: reason.to_owned(),
            at,
        }
    }

    fn expire(&mut self, now: Option<UnixTime>) {
        let Lifetime { idle, absolute } = self.lifetime;
        let over =
            |open: &Open| open.touched.elapsed(now) >= idle || open.unlocked.elapsed(now) >= absolute;
        if self.open.as_ref().is_some_and(over) {
            self.open = None;
        }
    }
}

impl Open {
    pub(crate) fn new(master: Secret, secrets: Vec<Secret>, now: UnixTime) -> Self {
        let now = Moment::new(now);
        Self { master, secrets, unlocked: now, touched: now }
    }
}

impl Moment {
    fn new(at: UnixTime) -> Self {
        Self { at, clock: Instant::now() }
    }

    /// The longer of what both clocks say.
    fn elapsed(&self, now: Option<UnixTime>) -> Seconds {
        let machine = Seconds(self.clock.elapsed().as_secs());
        now.map_or(machine, |now| now.since(self.at).max(machine))
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

fn load(files: &dyn Files, dir: &Path) -> Result<KeyFile, Error> {
    let path = key_file(dir);
    let bytes = files.read(&path, Trust::Private)?;
    KeyFile::decode(&bytes).map_err(|Malformed(reason)| Error::Damaged { path, reason })
}

/// Writes `file` and opens every key of what was written before it counts.
fn write(
    files: &dyn Files,
    dir: &Path,
    file: &KeyFile,
    master: &Secret,
    keep: Option<&Path>,
) -> Result<(), Failure> {
    let path = key_file(dir);
    let bytes = file.encode();
    replace(files, &path, &bytes, keep, |read| {
        let damaged = |reason| Error::Damaged { path: path.clone(), reason };
        if read != bytes {
            return Err(damaged("the disk gave back other bytes than it was given"));
        }
        let reread = KeyFile::decode(read).map_err(|Malformed(reason)| damaged(reason))?;
        reread.open(master).map(drop).map_err(|Malformed(reason)| damaged(reason))
    })
}
