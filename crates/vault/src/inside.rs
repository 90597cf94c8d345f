//! What the handles to one vault share: its file, its log, and while it is unlocked its secrets.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use model::{Seconds, UnixTime};
use zeroize::Zeroizing;

use crate::{
    Error, Intent, KeyRole, Lifetime, SlotKind, TokenSerial, Tokens,
    audit::Audit,
    clock::Clock,
    delay::Tries,
    file::{Draft, KeyFile, MAX_KEYS, Malformed, Proof, Public},
    save::{Failure, Files, Trust, generations, kept, key_file, replace},
    sealed::Secret,
    slot::Slot,
    token::Pin,
};

/// How many older generations are kept beside the newest.
const KEPT: usize = 5;

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) tries: Tries,
    pub(crate) inner: Mutex<Inner>,
    /// Closes the folder to other programs.
    pub(crate) _lock: File,
}

pub(crate) struct Inner {
    pub(crate) file: KeyFile,
    pub(crate) audit: Audit,
    pub(crate) open: Option<Open>,
    pub(crate) lifetime: Lifetime,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where tokens are looked for.
    pub(crate) tokens: Option<Arc<Tokens>>,
}

/// What is in memory while the vault is unlocked.
pub(crate) struct Open {
    pub(crate) master: Secret,
    /// In the order of the file's keys.
    pub(crate) secrets: Vec<Option<Secret>>,
    /// PINs of tokens, for as long as the vault is unlocked.
    pub(crate) pins: Vec<Pin>,
    /// Goes out with this: whoever signs looks at it.
    pub(crate) live: Live,
    /// How long the machine had been suspended when it was unlocked.
    suspended: Duration,
    pub(crate) unlocked: Moment,
    pub(crate) touched: Moment,
}

/// What a save changes.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) slots: Option<Vec<Slot>>,
    pub(crate) master: Option<Secret>,
    pub(crate) proof: Option<Proof>,
    pub(crate) keys: Vec<(Public, Option<Secret>)>,
}

/// An instant on the caller's clock and on the machine's.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: UnixTime,
    since_boot: Duration,
}

impl Shared {
    /// Seals everything anew as the next generation and puts it in the place of the last.
    pub(crate) fn save(&self, inner: &mut Inner, change: Change) -> Result<(), Error> {
        let open = inner.open.as_mut().ok_or(Error::Locked)?;
        let file = &inner.file;
        let (slots, master) = (change.slots.unwrap_or_else(|| file.slots.clone()), change.master);
        let new = change.keys.iter().map(|(public, secret)| (public.clone(), secret.as_ref()));
        let old =
            file.keys.iter().map(|entry| entry.public.clone()).zip(open.secrets.iter().map(Option::as_ref));
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
        let mut old = generations(&self.folder)?.into_iter().skip(keep);
        old.try_for_each(|generation| self.files.remove(&kept(&self.folder, generation)))
    }

    /// The file on the disk, if it is this vault's and no older than last seen.
    pub(crate) fn load(&self, known: &KeyFile) -> Result<KeyFile, Error> {
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

    pub(crate) fn damaged(&self, Malformed(reason): Malformed) -> Error {
        Error::Damaged { path: key_file(&self.folder), reason }
    }
}

impl Inner {
    /// A copy of the key at this place of the file.
    pub(crate) fn secret(&self, at: usize) -> Result<Secret, Error> {
        let secrets = &self.open.as_ref().ok_or(Error::Locked)?.secrets;
        secrets.get(at).ok_or(Error::Locked)?.clone().ok_or(Error::NotInVault)
    }

    /// The PIN of this token, if it was entered since the vault was unlocked.
    pub(crate) fn pin(&self, serial: &TokenSerial) -> Result<Zeroizing<String>, Error> {
        let pins = &self.open.as_ref().ok_or(Error::Locked)?.pins;
        let found = pins.iter().find(|pin| pin.serial == *serial);
        Ok(found.ok_or_else(|| Error::NoPin { serial: serial.clone() })?.pin.clone())
    }

    /// Whether a key with this public half signs for the vault or opens a slot of it: one key, one purpose.
    pub(crate) fn uses(&self, public: &[u8]) -> bool {
        let opens = |slot: &Slot| match &slot.info.kind {
            SlotKind::Token(agreement) => agreement.public()[..] == *public,
            SlotKind::Passphrase(_) | SlotKind::Keyring(_) | SlotKind::Shares { .. } => false,
        };
        self.file.keys.iter().any(|entry| entry.public.public == public) || self.file.slots.iter().any(opens)
    }

    /// Refuses a second key of a role that may stand once, and one key too many.
    pub(crate) fn check_room(&self, roles: &[KeyRole]) -> Result<(), Error> {
        let keys = &self.file.keys;
        for (at, &role) in roles.iter().enumerate() {
            let before = roles.iter().take(at).chain(keys.iter().map(|entry| &entry.public.role));
            if role.is_single() && before.into_iter().any(|before| *before == role) {
                return Err(Error::OnlyOne { role });
            }
        }
        if keys.len() + roles.len() > MAX_KEYS {
            return Err(Error::Full { most: MAX_KEYS });
        }
        Ok(())
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

    pub(crate) fn expire(&mut self, now: Option<UnixTime>) {
        let Lifetime { idle, absolute } = self.lifetime;
        let clock = &*self.clock;
        let over = |open: &Open| {
            // The two clocks are not read at the same instant.
            let slept = suspended(clock).saturating_sub(open.suspended) > Duration::from_secs(1);
            let passed = |moment: &Moment| moment.elapsed(now, clock);
            slept || passed(&open.touched) >= idle || passed(&open.unlocked) >= absolute
        };
        if self.open.as_ref().is_some_and(over) {
            self.open = None;
        }
    }
}

impl Open {
    pub(crate) fn new(
        master: Secret,
        secrets: Vec<Option<Secret>>,
        now: UnixTime,
        clock: &dyn Clock,
    ) -> Self {
        let now = Moment::new(now, clock);
        let (pins, live, suspended) = (Vec::new(), Live::default(), suspended(clock));
        Self { master, secrets, pins, live, suspended, unlocked: now, touched: now }
    }

    /// Keeps a PIN that proved right.
    pub(crate) fn keep_pin(&mut self, serial: &TokenSerial, pin: &str) {
        self.pins.retain(|known| known.serial != *serial);
        self.pins.push(Pin { serial: serial.clone(), pin: Zeroizing::new(pin.to_owned()) });
    }
}

/// Whether the vault has been unlocked all the while: shared with whatever is being signed.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<AtomicBool>);

impl Live {
    /// Whether the vault was locked since.
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.live.0.store(true, Ordering::Release);
    }
}

impl Moment {
    pub(crate) fn new(at: UnixTime, clock: &dyn Clock) -> Self {
        Self { at, since_boot: clock.since_boot() }
    }

    /// The longer of what both clocks say.
    fn elapsed(&self, now: Option<UnixTime>, clock: &dyn Clock) -> Seconds {
        let machine = Seconds(clock.since_boot().saturating_sub(self.since_boot).as_secs());
        now.map_or(machine, |now| now.since(self.at).max(machine))
    }
}

/// How long the machine was suspended since it booted.
fn suspended(clock: &dyn Clock) -> Duration {
    let awake = clock.awake();
    clock.since_boot().saturating_sub(awake)
}

pub(crate) fn load(files: &dyn Files, dir: &Path) -> Result<KeyFile, Error> {
    let path = key_file(dir);
    let bytes = files.read(&path, Trust::Private)?;
    KeyFile::decode(&bytes).map_err(|Malformed(reason)| Error::Damaged { path, reason })
}

/// Writes `file` and opens every key of what was written before it counts.
pub(crate) fn write(
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
