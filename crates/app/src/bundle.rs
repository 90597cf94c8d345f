//! Offline bundles: made for chosen devices by whoever signs tickets, opened on the bench.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek as _, SeekFrom, Write as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
};

use ::bench::Image;
use envelope::{
    KemPublicKey, KeyRole as Listed, RevocationList, TrustKeys, Verified,
    bundle::{Bundle, Opened, Part, PartKind},
    device::Install,
    otap::{Header, Opener, Opening, SegmentList},
    sha256,
    ticket::LIFE_IN_BUNDLE,
    trust::KeyMaterial,
    tuf::{Role, Root, Signed, Targets, TrustedState},
};
use model::{Digest, PersonName, RolloutId, Seconds, UnixTime};
use protocol::{
    ErrorCode, device,
    operator::{BlobPart, DeviceDetail, ReleaseDetail, SealedArtifactRow, path},
};
use vault::KeyRole;

use crate::{
    App, Error,
    command::{BenchBundle, BenchOpen, Handle},
    desk::Session,
    dto::{BenchTicket, BundleFile, BundleSummary, MakeBundle},
    job::step,
    plan::{Eligible, PlannedTarget},
    tickets::{Deputy, Order, Times, in_force},
    trust::{Trust, untrusted},
    workspace::replace,
};

/// The longest image that is held in memory, in bytes.
const MAX_IMAGE: u64 = 64 << 20;

/// A bundle on the disk, as far as it is read at once.
pub(crate) struct BundleOnDisk {
    pub(crate) file: File,
    pub(crate) index: Vec<u8>,
    pub(crate) small: Vec<Vec<u8>>,
    /// Where the first payload begins.
    pub(crate) payloads_at: u64,
    /// Whose signatures stand under its metadata, and how many it takes; once it was opened.
    pub(crate) signed_by: (Vec<PersonName>, u32),
}

impl Handle<BenchBundle> for App {
    async fn handle(&self, request: MakeBundle) -> Result<BundleSummary, Error> {
        self.make_bundle(&request).await
    }
}

impl Handle<BenchOpen> for App {
    async fn handle(&self, request: BundleFile) -> Result<BundleSummary, Error> {
        let session = self.session().await?;
        let (bundle, opened) = self.open_bundle(Path::new(&request.file), &session)?;
        summary(&bundle, &opened, &session)
    }
}

impl App {
    async fn make_bundle(&self, request: &MakeBundle) -> Result<BundleSummary, Error> {
        let vault = self.unlocked()?;
        let session = self.session().await?;
        let trust = self.trust().await?;
        let release: ReleaseDetail = session.client.get(&path::release(request.release)).await?;
        let target = self.planned_target(&trust, &release, request.target.as_ref(), None)?;
        let revoked = self.revoked(&trust).await?;
        if request.devices.is_empty() {
            return Err(Error::new(ErrorCode::InvalidRequest, "a bundle is for devices that are named"));
        }
        let (devices, excluded) =
            self.eligible(&request.devices, &target, revoked.as_deref(), &trust.targets).await?;
        if devices.len() < request.devices.len() {
            let reasons: Vec<String> =
                excluded.iter().map(|(why, devices)| format!("{} {:?}", devices.len(), why.reason)).collect();
            return Err(Error::new(
                ErrorCode::PreconditionFailed,
                format!("{} of the devices cannot take this", request.devices.len() - devices.len()),
            )
            .detail(reasons.join(", "))
            .hint("`fleetseal device why` says more of each"));
        }
        let now = self.now();
        in_force(now, target.targets_expire)?;
        let deputy = match &request.bench {
            Some(holder) => {
                Some(Deputy { kem: bench_of(&trust.keys, holder, now)?, unproven: request.unproven })
            }
            None if request.unproven => {
                return Err(Error::new(
                    ErrorCode::InvalidRequest,
                    "a device that cannot prove who it is cannot open its ticket either",
                )
                .hint("name the bench that opens it with --bench"));
            }
            None => None,
        };
        let expires = now + Seconds(request.life.0.min(LIFE_IN_BUNDLE.0));
        let order = Order {
            rollout: RolloutId::random(&mut envelope::SystemRandom),
            phase: 0,
            component: target.custom.component.clone(),
            install: Some((target.clone(), self.content_key(&vault, &target)?)),
            times: Times {
                issued_at: now,
                not_before: now,
                not_after: expires,
                targets_expire: target.targets_expire,
            },
            deputy,
        };
        let issued = self.sign_tickets(&vault, &order, &devices).await?;

        let folder = Path::new(&request.file).parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let unwritten = |source: std::io::Error| Error::file("write", Path::new(&request.file), &source);
        let mut payload = tempfile::tempfile_in(folder).map_err(unwritten)?;
        let (sealed, segments) = fetch(&session, &release, &target, &mut payload).await?;

        let mut small: Vec<(PartKind, Vec<u8>)> = Vec::new();
        let roots = self.root_chain(&session, &trust).await?;
        small.extend(roots.into_iter().map(|root| (PartKind::Root, root)));
        let targets = trust.state.targets().ok_or_else(|| {
            Error::new(ErrorCode::Untrusted, "the fleet's metadata is not complete on this computer")
        })?;
        small.push((PartKind::Targets, targets.raw().to_vec()));
        small.push((PartKind::TrustKeys, trust.keys.encode()));
        if revoked.is_some() {
            let path = self.workspace().file("revoked.cbor");
            let list = std::fs::read(&path).map_err(|source| Error::file("read", &path, &source))?;
            small.push((PartKind::Revoked, list));
        }
        for (device, issued) in devices.iter().zip(issued) {
            small.push((PartKind::Certificate, certificate(&session, device).await?));
            small.push((PartKind::Label, issued.label));
            small.push((PartKind::Ticket, issued.sealed));
        }
        small.push((PartKind::SegmentList, segments.encode()));

        let mut parts: Vec<Part> = small.iter().map(|(kind, bytes)| Part::of(*kind, bytes)).collect();
        parts.push(Part {
            kind: PartKind::Payload,
            length: sealed.ciphertext_bytes,
            sha256: sealed.ciphertext,
        });
        let bundle = Bundle::new(session.membership.fleet, now, expires, parts).map_err(refused)?;
        let intent = vault.intent("bench.bundle", &request.file, "an offline bundle", now);
        let signer = vault.signer(vault.key(KeyRole::Ticket)?.id, intent)?;
        let head = bundle.sign(&signer).map_err(refused)?;

        let mut out = tempfile::NamedTempFile::new_in(folder).map_err(unwritten)?;
        let written = out.write_all(&head).and_then(|()| {
            small.iter().try_for_each(|(_, bytes)| out.write_all(bytes))?;
            payload.seek(SeekFrom::Start(0))?;
            std::io::copy(&mut payload, &mut out)?;
            out.as_file().sync_all()
        });
        written.map_err(unwritten)?;
        out.persist(&request.file).map_err(|error| unwritten(error.error))?;

        // What others will be handed is opened as they will open it.
        let (bundle, opened) = self.open_bundle(Path::new(&request.file), &session)?;
        summary(&bundle, &opened, &session)
    }

    /// Opens a bundle up to its payloads, by what this workspace trusts; from then on it trusts what the
    /// bundle's threshold signed.
    pub(crate) fn open_bundle(
        &self,
        path: &Path,
        session: &Session,
    ) -> Result<(BundleOnDisk, Opened), Error> {
        let mut bundle = BundleOnDisk::read(path)?;
        let mut state = match self.trusted_state()? {
            Some(state) => state,
            None => TrustedState::bootstrap(&session.membership.root).map_err(untrusted)?,
        };
        let fleet = session.membership.fleet;
        let before = state.generation();
        let opened =
            Bundle::open(&bundle.index, &bundle.small, fleet, &mut state, 0, self.now()).map_err(refused)?;
        if state.generation() > before {
            self.keep_state(&state)?;
        }
        self.keep_revoked(&bundle, &opened)?;
        bundle.signed_by = signatures(&bundle, &opened, &state)?;
        Ok((bundle, opened))
    }

    /// Who was revoked stays revoked, also when an older bundle is opened later.
    fn keep_revoked(&self, bundle: &BundleOnDisk, opened: &Opened) -> Result<(), Error> {
        let mut parts = opened.index.small().zip(&bundle.small);
        let raw = parts.find(|(part, _)| part.kind == PartKind::Revoked).map(|(_, raw)| raw);
        let (Some(raw), Some(list)) = (raw, &opened.revoked) else { return Ok(()) };
        let path = self.workspace().file("revoked.cbor");
        let own = std::fs::read(&path).ok().and_then(|own| {
            RevocationList::verify(&own, list.fleet, 0, opened.basis.keys(), opened.index.issued_at).ok()
        });
        if own.is_none_or(|own| own.number < list.number) { replace(&path, raw) } else { Ok(()) }
    }

    /// Every root from the one that this workspace began with.
    async fn root_chain(&self, session: &Session, trust: &Trust) -> Result<Vec<Vec<u8>>, Error> {
        let first: Signed<Root> = Signed::parse(&session.membership.root).map_err(untrusted)?;
        let mut chain = Vec::new();
        for version in first.signed().version..=trust.state.root().signed().version {
            let path = format!("{}{}", device::path::TUF, Role::Root.path(version));
            let root = session.client.file(&path, 1 << 20).await?.ok_or_else(|| {
                Error::new(ErrorCode::Untrusted, format!("the backend keeps back root {version}"))
            })?;
            chain.push(root);
        }
        Ok(chain)
    }
}

impl BundleOnDisk {
    /// Reads what comes before the payloads; believes none of it.
    fn read(path: &Path) -> Result<Self, Error> {
        let unread = |source: std::io::Error| Error::file("read", path, &source);
        let mut file = File::open(path).map_err(unread)?;
        let mut head = [0; Bundle::HEAD];
        file.read_exact(&mut head).map_err(|_| cut_off(path))?;
        let length = Bundle::index_length(&head).map_err(refused)?;
        let index = read_part(&mut file, length as u64).map_err(|_| cut_off(path))?;
        let parts = Bundle::peek(&index).map_err(refused)?;
        let begins = (Bundle::HEAD + length) as u64;
        let whole = begins.saturating_add(parts.content_bytes());
        if file.metadata().map_err(unread)?.len() != whole {
            return Err(cut_off(path));
        }
        let mut small = Vec::new();
        for part in parts.small() {
            small.push(read_part(&mut file, part.length).map_err(unread)?);
        }
        let payloads_at = begins + small.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(Self { file, index, small, payloads_at, signed_by: (Vec::new(), 0) })
    }

    /// Pass one: all of a ticket's payload, checked segment by segment, opened, and hashed against the
    /// ticket.
    pub(crate) fn image(&self, opened: &Opened, install: &Install) -> Result<Image, Error> {
        let damaged = |source| {
            Error::because(ErrorCode::InvalidObject, "the bundle's payload is not what was signed", source)
                .hint("copy the bundle again; nothing was sent to the device")
        };
        let installation = install.installation();
        let missing =
            || Error::new(ErrorCode::InvalidObject, "the bundle has not the payload of this ticket");
        let list = installation.payload.segment_list;
        let number =
            opened.segment_lists.iter().position(|bytes| sha256(bytes) == list).ok_or_else(missing)?;
        let begins =
            self.payloads_at + opened.index.payloads().take(number).map(|part| part.length).sum::<u64>();
        let header = Header::parse(&installation.payload.header).map_err(damaged)?;
        let layout = header.layout();
        if layout.plaintext_len() > MAX_IMAGE {
            return Err(Error::new(ErrorCode::TooLarge, "the image is too large for a bench"));
        }
        let segments = SegmentList::parse(&opened.segment_lists[number], layout, &list).map_err(damaged)?;
        let key = install.ticket().content_key().ok_or_else(missing)?;
        let opener = Opener::new(key, header).map_err(damaged)?;
        let mut opening = Opening::new(&opener, &segments);
        let mut plaintext = Vec::new();
        for segment in 0..layout.segments() {
            let range = layout.segment_range(segment).map_err(damaged)?;
            let mut buffer = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
            self.file.read_exact_at(&mut buffer, begins + range.start).map_err(|source| {
                Error::because(ErrorCode::InvalidObject, "the bundle's payload cannot be read", source)
                    .hint("copy the bundle again; is the stick still there?")
            })?;
            let opened = opening.segment(&mut buffer, |chunk| {
                plaintext.extend_from_slice(chunk);
                Ok::<_, envelope::otap::Error>(())
            });
            opened.map_err(damaged)?;
        }
        opening.finish(&installation.target.sha256).map_err(damaged)?;
        Image::new(plaintext, &[]).map_err(|source| {
            Error::because(ErrorCode::InvalidArtifact, "what was signed is no image for this bench", source)
                .hint("boards that speak SMP take images for MCUboot")
        })
    }
}

fn read_part(file: &mut impl Read, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
    }
}

/// Fetches the ciphertext segment by segment, and checks that it is the one that was recorded.
async fn fetch<'r>(
    session: &Session,
    release: &'r ReleaseDetail,
    target: &PlannedTarget,
    to: &mut File,
) -> Result<(&'r SealedArtifactRow, SegmentList), Error> {
    let wrong = |source| Error::because(ErrorCode::InvalidObject, "the sealed record is wrong", source);
    let row = release
        .sealed
        .iter()
        .find(|sealed| sealed.id == target.artifact)
        .ok_or_else(|| Error::new(ErrorCode::PreconditionFailed, "the release is not sealed"))?;
    let layout = Header::parse(&target.record.header).map_err(wrong)?.layout();
    let mut digests = Vec::new();
    for segment in 0..layout.segments() {
        step("ciphertext", u64::from(segment), u64::from(layout.segments()))?;
        let range = layout.segment_range(segment).map_err(wrong)?;
        let mut bytes = Vec::new();
        while range.start + (bytes.len() as u64) < range.end {
            let offset = range.start + bytes.len() as u64;
            bytes.extend(part_of(session, row.ciphertext, offset..range.end).await?);
        }
        digests.push(sha256(&bytes));
        to.write_all(&bytes)
            .map_err(|source| Error::because(ErrorCode::StorageFull, "no room for the bundle", source))?;
    }
    let list = SegmentList::new(layout, digests).map_err(wrong)?;
    if list.digest() != target.record.segment_list {
        return Err(Error::new(
            ErrorCode::Untrusted,
            "the backend serves another ciphertext than was sealed",
        ));
    }
    Ok((row, list))
}

/// What the backend sends at once from the beginning of this range of a ciphertext.
pub(crate) async fn part_of(
    session: &Session,
    ciphertext: Digest,
    range: Range<u64>,
) -> Result<Vec<u8>, Error> {
    let length = range.end.saturating_sub(range.start).min(BlobPart::MOST);
    let path = format!("{}?offset={}&length={length}", path::blob_part(ciphertext), range.start);
    let most = usize::try_from(BlobPart::MOST).unwrap_or(usize::MAX);
    match session.client.file(&path, most).await? {
        Some(part) if !part.is_empty() => Ok(part),
        Some(_) | None => Err(Error::new(ErrorCode::NotFound, "the backend has not all of the ciphertext")),
    }
}

/// The device's certificate, which names the keys that its ticket is for.
async fn certificate(session: &Session, device: &Eligible) -> Result<Vec<u8>, Error> {
    let detail: DeviceDetail = session.client.get(&path::device(device.device)).await?;
    let certificate = session.verify_device(&detail.row.certificate)?;
    let same = certificate.device_id() == device.device
        && certificate.spki_digest() == device.identity.spki
        && KemPublicKey(*certificate.kem_public()).id() == device.identity.kem;
    if same {
        Ok(detail.row.certificate.0)
    } else {
        Err(Error::new(ErrorCode::Untrusted, "the backend shows another device's certificate"))
    }
}

/// The KEM key of somebody's bench.
fn bench_of(keys: &Verified<TrustKeys>, holder: &PersonName, now: UnixTime) -> Result<KemPublicKey, Error> {
    keys.entries()
        .iter()
        .filter(|key| key.role == Listed::Bench && key.holder == *holder && key.scope.not_after >= now)
        .find_map(|key| match &key.material {
            KeyMaterial::Recipient(kem) => Some(*kem),
            KeyMaterial::Signer(_) | KeyMaterial::Root { .. } => None,
        })
        .ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("{holder} has no bench that the fleet trusts"))
                .hint("technicians have one once key holders signed for it: `fleetseal fleet keys`")
        })
}

/// The key holders who signed the metadata in a bundle whose threshold was verified, and that threshold.
fn signatures(
    bundle: &BundleOnDisk,
    opened: &Opened,
    state: &TrustedState,
) -> Result<(Vec<PersonName>, u32), Error> {
    let root = state.root().signed();
    let role = root.role(Role::Targets);
    let mut parts = opened.index.small().zip(&bundle.small);
    let raw = parts.find(|(part, _)| part.kind == PartKind::Targets).map(|(_, raw)| raw.as_slice());
    let targets: Signed<Targets> = Signed::parse(raw.unwrap_or_default()).map_err(untrusted)?;
    let signed = targets.signatures().iter().map(|signature| &signature.keyid);
    let holders: BTreeSet<&PersonName> =
        signed.filter(|id| role.keyids.contains(id)).filter_map(|id| root.holder(id)).collect();
    Ok((holders.into_iter().cloned().collect(), role.threshold))
}

/// What stands in an opened bundle, for people.
pub(crate) fn summary(
    bundle: &BundleOnDisk,
    opened: &Opened,
    session: &Session,
) -> Result<BundleSummary, Error> {
    let mut devices = Vec::with_capacity(opened.devices.len());
    for entry in &opened.devices {
        let certificate = session.verify_device(&entry.certificate)?;
        let Some(installation) = entry.label.action.installation() else { continue };
        devices.push(BenchTicket {
            device: entry.label.device,
            serial: certificate.serial().clone(),
            model: installation.target.model.clone(),
            component: entry.label.component.clone(),
            version: installation.target.version.clone(),
            deputy: installation.deputy,
            must_prove: entry.label.identity.is_some(),
            not_after: entry.label.not_after,
        });
    }
    Ok(BundleSummary {
        issued_at: opened.index.issued_at,
        expires: opened.index.expires,
        targets_expire: opened.basis.targets().targets_expire(),
        revoked_at: opened.revoked.as_ref().map(|list| list.issued_at),
        signed_by: bundle.signed_by.0.clone(),
        threshold: bundle.signed_by.1,
        made_by: opened.made_by.clone(),
        payload_bytes: opened.index.payloads().map(|part| part.length).sum(),
        devices,
    })
}

fn cut_off(path: &Path) -> Error {
    Error::new(ErrorCode::InvalidObject, format!("`{}` is no whole bundle", path.display()))
        .hint("copy it again, and eject the stick before you pull it")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all that was signed wrongly shares a code")]
pub(crate) fn refused(source: envelope::bundle::Error) -> Error {
    use envelope::bundle::Error as E;
    let (code, hint) = match &source {
        E::Format | E::Parts | E::Damaged { .. } => {
            (ErrorCode::InvalidObject, "copy it again from where it was made")
        }
        E::Object(envelope::Error::Lapsed { .. }) => (
            ErrorCode::Untrusted,
            "compare this computer's clock; if it is right, an operator makes a new one",
        ),
        _ => (ErrorCode::Untrusted, "nothing was sent to a device; an operator makes a new one"),
    };
    Error::because(code, "the bundle is not used", source).hint(hint)
}
