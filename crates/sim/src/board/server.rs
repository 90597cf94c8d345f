use std::collections::BTreeMap;

use envelope::{container::McubootImage, sha256};
use model::Digest;
use protocol::smp::{
    Body, Header, Message, Op, Value,
    group::{self, result},
};

use super::{
    flash::{PowerCut, SECTOR_BYTES},
    identity::Identity,
    machine::{Effect, Mode},
    profile::Profile,
    slots::{Slot, Slots, SwapKind},
};

/// What answers on a board: in its application, and in its bootloader's recovery.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// The next boot ends in recovery.
    pub(super) resets_into_recovery: bool,
    upload: Option<ImageUpload>,
    writing: Option<(String, u64)>,
    settings: BTreeMap<String, Vec<u8>>,
    saved_settings: BTreeMap<String, Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
}

/// An upload into a slot, which only memory knows of: a reset forgets it.
#[derive(Debug)]
struct ImageUpload {
    slot: Slot,
    length: usize,
    offset: usize,
    sha: Option<Vec<u8>>,
}

/// Why a request is not done.
#[derive(Debug)]
enum Refusal {
    /// A result that every group has.
    General(u64),
    /// One of the group's own.
    Group(u64),
    /// The power went.
    Power,
}

/// Results of the image group (Zephyr, `img_mgmt.h`).
mod image_result {
    pub(super) const NO_FREE_SLOT: u64 = 9;
    pub(super) const INVALID_IMAGE_HEADER_MAGIC: u64 = 23;
    pub(super) const INVALID_HASH: u64 = 24;
    pub(super) const IMAGE_TOO_LARGE: u64 = 30;
    pub(super) const DATA_OVERRUN: u64 = 31;
    pub(super) const SETTING_TEST_TO_ACTIVE_DENIED: u64 = 33;
}

/// Results of the file group (Zephyr, `fs_mgmt.h`).
mod fs_result {
    pub(super) const FILE_NOT_FOUND: u64 = 3;
    pub(super) const OFFSET_NOT_VALID: u64 = 11;
}

/// The first piece of an upload has the whole header of the image.
const IMAGE_HEADER_BYTES: usize = 32;
/// The longest file, in bytes.
const MAX_FILE_BYTES: usize = 64 * 1024;
/// How much of a file goes into one answer, in bytes.
const FILE_PIECE_BYTES: usize = 160;

impl From<PowerCut> for Refusal {
    fn from(PowerCut: PowerCut) -> Self {
        Self::Power
    }
}

impl Server {
    /// A reset: what was only in memory is gone.
    pub(super) fn reset(&mut self) {
        self.resets_into_recovery = false;
        self.upload = None;
        self.writing = None;
        self.settings = self.saved_settings.clone();
    }

    pub(super) fn answer(
        &mut self,
        message: &Message,
        mode: Mode,
        profile: &Profile,
        slots: &mut Slots,
        identity: &mut Identity,
    ) -> Result<(Message, Effect), PowerCut> {
        let mut effect = Effect::None;
        let body = &message.body;
        let write = message.op == Op::Write;
        let recovery = mode == Mode::Recovery;
        let done = match (message.group, message.command, write) {
            (group::OS, group::os::ECHO, true) => echo(body),
            (group::OS, group::os::PARAMETERS, false) if profile.tells_buffers => {
                let buffers = if recovery { profile.recovery_buffers } else { profile.buffers };
                Ok(Body::new().with("buf_size", buffers.bytes as u64).with("buf_count", buffers.count as u64))
            }
            (group::OS, group::os::RESET, true) => {
                let into_recovery = body.uint("boot_mode") == Some(1);
                if into_recovery && !profile.recovery {
                    Err(Refusal::General(result::UNSUPPORTED))
                } else {
                    effect = Effect::Reset { recovery: into_recovery };
                    Ok(Body::new())
                }
            }
            (group::IMAGE, group::image::STATE, false) => Ok(states(slots)),
            (group::IMAGE, group::image::UPLOAD, true) => self.upload(body, recovery, slots),
            (group::IMAGE, group::image::SLOTS, false) => Ok(sizes(slots)),
            // The recovery has no more than that.
            _ if recovery => Err(Refusal::General(result::UNSUPPORTED)),
            (group::OS, group::os::INFO, false) => {
                Ok(Body::new().with("output", "Fleetseal simulated board"))
            }
            (group::OS, group::os::BOOTLOADER, false) => match body.text("query") {
                // Swap with scratch, in MCUboot's numbering.
                Some("mode") => {
                    Ok(Body::new().with("mode", 1_u64).with("no-downgrade", profile.no_downgrade))
                }
                Some(_) => Err(Refusal::General(result::INVALID)),
                None => Ok(Body::new().with("bootloader", "MCUboot")),
            },
            (group::IMAGE, group::image::STATE, true) => select(body, profile, slots),
            (group::IMAGE, group::image::ERASE, true) => self.erase(slots),
            (group::SETTINGS, _, true) if identity.is_locked() => Err(Refusal::General(result::DENIED)),
            (group::SETTINGS, command, _) => self.setting(command, write, body),
            (group::FS, group::fs::FILE, true) if identity.is_locked() => {
                Err(Refusal::General(result::DENIED))
            }
            (group::FS, command, _) => self.file(command, write, body),
            (group::ENUMERATION, group::enumeration::COUNT, false) => {
                Ok(Body::new().with("count", groups(profile).len() as u64))
            }
            (group::ENUMERATION, group::enumeration::LIST, false) => {
                let groups = groups(profile).into_iter().map(|group| Value::Uint(u64::from(group)));
                Ok(Body::new().with("groups", groups.collect::<Vec<_>>()))
            }
            (group::PROVISIONING, command, _) if profile.provisioning => {
                provision(identity, command, write, body)
            }
            _ => Err(Refusal::General(result::UNSUPPORTED)),
        };
        let body = match done {
            Ok(body) => body,
            Err(Refusal::Power) => return Err(PowerCut),
            Err(Refusal::General(code)) => Body::new().with("rc", code),
            // The recovery, like version 1, knows no errors of groups.
            Err(Refusal::Group(code)) if message.version == Header::VERSION_2 && !recovery => {
                let error = Body::new().with("group", u64::from(message.group)).with("rc", code);
                Body::new().with("err", error)
            }
            Err(Refusal::Group(_)) => Body::new().with("rc", result::UNKNOWN),
        };
        let reply = Message {
            op: message.op.reply(),
            version: message.version,
            group: message.group,
            command: message.command,
            sequence: message.sequence,
            body,
        };
        Ok((reply, effect))
    }

    fn upload(&mut self, body: &Body, recovery: bool, slots: &mut Slots) -> Result<Body, Refusal> {
        let (Some(offset), Some(data)) = (body.uint("off"), body.bytes("data")) else {
            return Err(Refusal::General(result::INVALID));
        };
        if body.uint("image").unwrap_or_default() != 0 {
            return Err(Refusal::General(result::INVALID));
        }
        if offset == 0 {
            let resumed = self.begin(body, data, recovery, slots)?;
            if let Some(offset) = resumed {
                return Ok(Body::new().with("off", offset as u64));
            }
        }
        // As Zephyr and MCUboot do: after a reset the beginning is what they want.
        let Some(upload) = &mut self.upload else { return Ok(Body::new().with("off", 0_u64)) };
        if offset != upload.offset as u64 {
            // Not what was expected: the answer says what is.
            return Ok(Body::new().with("off", upload.offset as u64));
        }
        if upload.offset + data.len() > upload.length {
            self.upload = None;
            return Err(Refusal::Group(image_result::DATA_OVERRUN));
        }
        slots.write(upload.slot, upload.offset, data)?;
        upload.offset += data.len();
        let reply = Body::new().with("off", upload.offset as u64);
        if upload.offset < upload.length {
            return Ok(reply);
        }
        let written = sha256(slots.read(upload.slot, upload.length));
        let matched = upload.sha.as_deref().map(|sha| sha == written.as_bytes());
        self.upload = None;
        Ok(if recovery { reply } else { reply.with_some("match", matched) })
    }

    /// The first piece: where an upload of the same image stands already, or nothing, and a clean slot.
    fn begin(
        &mut self,
        body: &Body,
        data: &[u8],
        recovery: bool,
        slots: &mut Slots,
    ) -> Result<Option<usize>, Refusal> {
        let length = body.uint("len").and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(Refusal::General(result::INVALID))?;
        if data.len() < IMAGE_HEADER_BYTES || !McubootImage::begins(data) {
            return Err(Refusal::Group(image_result::INVALID_IMAGE_HEADER_MAGIC));
        }
        if length > slots.room() {
            return Err(Refusal::Group(image_result::IMAGE_TOO_LARGE));
        }
        let sha = body.bytes("sha").map(<[u8]>::to_vec);
        if let Some(upload) = &self.upload
            && !recovery
            && sha.is_some()
            && upload.sha == sha
            && upload.length == length
        {
            return Ok(Some(upload.offset));
        }
        let slot = if recovery { Slot::Primary } else { Slot::Secondary };
        if !recovery && slots.swap_kind() != SwapKind::None {
            return Err(Refusal::Group(image_result::NO_FREE_SLOT));
        }
        self.upload = None;
        slots.erase(slot)?;
        self.upload = Some(ImageUpload { slot, length, offset: 0, sha });
        Ok(None)
    }

    fn erase(&mut self, slots: &mut Slots) -> Result<Body, Refusal> {
        if slots.swap_kind() != SwapKind::None {
            return Err(Refusal::Group(image_result::NO_FREE_SLOT));
        }
        self.upload = None;
        slots.erase(Slot::Secondary)?;
        Ok(Body::new())
    }

    fn setting(&mut self, command: u8, write: bool, body: &Body) -> Result<Body, Refusal> {
        let name = || body.text("name").map(str::to_owned).ok_or(Refusal::General(result::INVALID));
        match (command, write) {
            (group::settings::VALUE, false) => {
                let value = self.settings.get(&name()?).ok_or(Refusal::General(result::NO_ENTRY))?;
                Ok(Body::new().with("val", &value[..]))
            }
            (group::settings::VALUE, true) => {
                let value = body.bytes("val").ok_or(Refusal::General(result::INVALID))?.to_vec();
                self.settings.insert(name()?, value);
                Ok(Body::new())
            }
            (group::settings::DELETE, true) => {
                self.settings.remove(&name()?);
                Ok(Body::new())
            }
            (group::settings::COMMIT, true) => Ok(Body::new()),
            (group::settings::STORAGE, true) => {
                self.saved_settings = self.settings.clone();
                Ok(Body::new())
            }
            (group::settings::STORAGE, false) => {
                self.settings = self.saved_settings.clone();
                Ok(Body::new())
            }
            _ => Err(Refusal::General(result::UNSUPPORTED)),
        }
    }

    fn file(&mut self, command: u8, write: bool, body: &Body) -> Result<Body, Refusal> {
        let name = body.text("name").ok_or(Refusal::General(result::INVALID))?.to_owned();
        if (command, write) == (group::fs::FILE, true) {
            return self.write_file(&name, body);
        }
        let file = self.files.get(&name).ok_or(Refusal::Group(fs_result::FILE_NOT_FOUND))?;
        match (command, write) {
            (group::fs::FILE, false) => {
                let offset = body.uint("off").and_then(|offset| usize::try_from(offset).ok());
                let offset = offset
                    .filter(|offset| *offset <= file.len())
                    .ok_or(Refusal::Group(fs_result::OFFSET_NOT_VALID))?;
                let part = &file[offset..file.len().min(offset + FILE_PIECE_BYTES)];
                let length = (offset == 0).then_some(file.len() as u64);
                Ok(Body::new().with("off", offset as u64).with("data", part).with_some("len", length))
            }
            (group::fs::STATUS, false) => Ok(Body::new().with("len", file.len() as u64)),
            (group::fs::HASH, false) if body.text("type").is_none_or(|kind| kind == "sha256") => {
                Ok(Body::new()
                    .with("type", "sha256")
                    .with("off", 0_u64)
                    .with("len", file.len() as u64)
                    .with("output", &sha256(file).as_bytes()[..]))
            }
            _ => Err(Refusal::General(result::UNSUPPORTED)),
        }
    }

    fn write_file(&mut self, name: &str, body: &Body) -> Result<Body, Refusal> {
        let (Some(offset), Some(data)) = (body.uint("off"), body.bytes("data")) else {
            return Err(Refusal::General(result::INVALID));
        };
        if offset == 0 {
            let length = body.uint("len").ok_or(Refusal::General(result::INVALID))?;
            self.writing = Some((name.to_owned(), length));
            self.files.insert(name.to_owned(), Vec::new());
        }
        let writing = self.writing.as_ref().filter(|(writing, _)| writing == name);
        let (Some((_, length)), Some(file)) = (writing, self.files.get_mut(name)) else {
            return Err(Refusal::Group(fs_result::OFFSET_NOT_VALID));
        };
        if offset != file.len() as u64 {
            return Err(Refusal::Group(fs_result::OFFSET_NOT_VALID));
        }
        if file.len() + data.len() > MAX_FILE_BYTES || (file.len() + data.len()) as u64 > *length {
            return Err(Refusal::General(result::NO_MEMORY));
        }
        file.extend_from_slice(data);
        Ok(Body::new().with("off", file.len() as u64))
    }
}

fn echo(body: &Body) -> Result<Body, Refusal> {
    body.text("d").map(|text| Body::new().with("r", text)).ok_or(Refusal::General(result::INVALID))
}

fn select(body: &Body, profile: &Profile, slots: &mut Slots) -> Result<Body, Refusal> {
    let confirm = body.flag("confirm").unwrap_or_default();
    let active = slots.image(Slot::Primary).map(|image| image.hash);
    let hash = match body.bytes("hash") {
        Some(bytes) => {
            let hash = <[u8; 32]>::try_from(bytes).map(Digest::new);
            Some(hash.map_err(|_| Refusal::Group(image_result::INVALID_HASH))?)
        }
        None if confirm => active,
        None => return Err(Refusal::General(result::INVALID)),
    };
    if hash == active && hash.is_some() {
        if !confirm {
            return Err(Refusal::Group(image_result::SETTING_TEST_TO_ACTIVE_DENIED));
        }
        if profile.confirms {
            slots.confirm()?;
        }
        return Ok(states(slots));
    }
    let waiting = slots.image(Slot::Secondary).map(|image| image.hash);
    if hash.is_none() || hash != waiting {
        return Err(Refusal::Group(image_result::INVALID_HASH));
    }
    if slots.swap_kind() == SwapKind::Revert {
        // A trial is under way: it is confirmed, or it ends.
        return Err(Refusal::General(result::BAD_STATE));
    }
    slots.mark_pending(confirm)?;
    Ok(states(slots))
}

fn states(slots: &Slots) -> Body {
    let kind = slots.swap_kind();
    let states = [(Slot::Primary, 0_u64), (Slot::Secondary, 1)].into_iter().filter_map(|(slot, number)| {
        let image = slots.image(slot)?;
        let primary = slot == Slot::Primary;
        let confirmed = match kind {
            SwapKind::None | SwapKind::Test | SwapKind::Permanent => primary,
            SwapKind::Revert => !primary,
        };
        let pending = !primary && matches!(kind, SwapKind::Test | SwapKind::Permanent);
        Some(Value::Map(
            Body::new()
                .with("image", 0_u64)
                .with("slot", number)
                .with("version", image.version.as_str())
                .with("hash", &image.hash.as_bytes()[..])
                .with("bootable", true)
                .with("pending", pending)
                .with("confirmed", confirmed)
                .with("active", primary)
                .with("permanent", pending && kind == SwapKind::Permanent),
        ))
    });
    Body::new().with("images", states.collect::<Vec<_>>()).with("splitStatus", 0_u64)
}

fn sizes(slots: &Slots) -> Body {
    let size = (slots.room() + SECTOR_BYTES) as u64;
    let slot = |number: u64| {
        let slot = Body::new().with("slot", number).with("size", size);
        Value::Map(slot.with("upload_image_id", number))
    };
    let image = Body::new()
        .with("image", 0_u64)
        .with("slots", vec![slot(0), slot(1)])
        .with("max_image_size", slots.room() as u64);
    Body::new().with("images", vec![Value::Map(image)])
}

fn groups(profile: &Profile) -> Vec<u16> {
    let all = [group::OS, group::IMAGE, group::SETTINGS, group::FS, group::ENUMERATION];
    all.into_iter().chain(profile.provisioning.then_some(group::PROVISIONING)).collect()
}

fn provision(identity: &mut Identity, command: u8, write: bool, body: &Body) -> Result<Body, Refusal> {
    let done = match (command, write) {
        (group::provisioning::INFO, false) => Ok(identity.info()),
        (group::provisioning::KEYGEN, true) => identity.keygen(),
        (group::provisioning::CSR, false) => identity.csr(body.uint("off").unwrap_or_default()),
        (group::provisioning::CERTIFICATE, true) => identity.certificate(body),
        (group::provisioning::PROVE, false) => identity.prove(body.bytes("nonce").unwrap_or_default()),
        (group::provisioning::LOCK, true) => {
            identity.lock(body.bytes("digest"), body.flag("confirm").unwrap_or_default())
        }
        _ => Err(result::UNSUPPORTED),
    };
    done.map_err(Refusal::General)
}
