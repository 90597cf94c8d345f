//! The backend that was taken over has a device's own ticket, true and in time, and a link key: it makes
//! a link and serves bytes that it altered.

use std::{fs, sync::Arc};

use agent::{Blob, Event, MemoryStorage, Storage as _};
use envelope::{Ed25519Key, KemSecret, Link, P256Key, Signer as _, SystemRandom};
use model::{DeploymentState, DeviceId, Digest, LinkId, MaintenanceWindow, ReleaseId, Seconds};
use protocol::{
    Base64, ErrorCode,
    device::{Offer, link_path, segments_path},
};
use rusqlite::params;
use sim::TakenOver;

use super::{
    field::{DELTA, Running},
    lies::{self, Stored},
    rules::{Rule, Rules},
    stage::Stage,
};
use crate::{
    Error,
    command::{RolloutPreview, RolloutStart},
    dto::Commit,
};

/// Signs a rollout to one device that the honest backend does not offer yet, for its hours begin in half a
/// day. The ticket itself is in time.
pub(crate) async fn sign(stage: &Stage, field: &Running, release: ReleaseId) -> Result<(), Error> {
    let minute = stage.alice.now().as_secs() / 60 % 1_440;
    let from_minute = u16::try_from((minute + 720) % 1_440).unwrap_or_default();
    let mut request = lies::plan(release, vec![field.ids[DELTA]], None);
    request.window = Some(MaintenanceWindow { from_minute, minutes: 60 });
    let preview = stage.alice.run::<RolloutPreview>(request.clone()).await?;
    stage.alice.run::<RolloutStart>(Commit { request, token: preview.token }).await.map(drop)
}

/// Offers it, with a link of the attacker's own and one byte of the ciphertext altered.
pub(crate) async fn play(
    stage: &Stage,
    field: &Running,
    taken: &TakenOver,
    ticket: Stored,
    link_key: &Ed25519Key,
    rules: &Rules<'_>,
) -> Result<(), Error> {
    let device = Arc::clone(&field.devices[DELTA]);
    let id = field.ids[DELTA];
    let (ciphertext, segment_list) = ciphertext(stage, id)?;
    let mut altered = blob(stage, &ciphertext)?;
    let middle = altered.len() / 2;
    altered[middle] ^= 1;

    let now = stage.alice.now();
    let not_after = now + Seconds::minutes(10);
    let link_id = LinkId::random(not_after, &mut SystemRandom);
    let link = Link {
        id: link_id,
        origin: stage.config.origin.clone(),
        path: link_path(link_id),
        device: id,
        // A device's certificate says these to everybody.
        spki: identity(&device.storage())?.public_key().spki_digest(),
        segment_list,
        not_before: now,
        not_after,
    };
    let sealed = link.issue(link_key, &kem(&device.storage())?.public())?;
    taken.serve(&link_path(link_id), altered);
    taken.serve(&segments_path(link_id), blob(stage, &segment_list)?);
    taken.talk_to(id);
    taken.pretend(now);
    taken.offer(vec![Offer { sealed_link: Some(Base64(sealed)), ..ticket.offer() }]);

    let mut installed = false;
    let answer = lies::watch(&device, |event| {
        let Event::Deployment { state, .. } = event else { return matches!(event, Event::Refused { .. }) };
        installed |= matches!(
            state,
            DeploymentState::Installing | DeploymentState::Rebooting | DeploymentState::Succeeded
        );
        state.ended()
    })
    .await;
    let code = match &answer {
        Some(Event::Deployment { code: Some(code), .. }) => code.as_str(),
        _ => "",
    };
    let tried = "serve ciphertext with one byte altered, by a true ticket and a link made with stolen keys";
    let held = !installed && code == "payload_corrupt";
    let outcome = if held {
        "no segment of it was kept, nothing reached the installer, and the device reported payload_corrupt"
            .to_owned()
    } else {
        lies::said(answer.as_ref())
    };
    rules.tried(Rule::R12, tried, held, outcome);
    Ok(())
}

/// The names of the newest ciphertext that was meant for this device, and of its segment list.
fn ciphertext(stage: &Stage, device: DeviceId) -> Result<(Digest, Digest), Error> {
    let sql = "SELECT sealed.ciphertext, sealed.segment_list FROM deployment
               JOIN sealed ON sealed.n = deployment.artifact
               JOIN device ON device.n = deployment.device
               WHERE device.id = ?1 ORDER BY deployment.n DESC LIMIT 1";
    let row = lies::database(stage)?.query_row(sql, params![device.as_bytes()], |row| {
        Ok((Digest::new(row.get(0)?), Digest::new(row.get(1)?)))
    });
    row.map_err(lies::failed)
}

/// A file of the backend's, as it lies on its disk.
fn blob(stage: &Stage, name: &Digest) -> Result<Vec<u8>, Error> {
    let name = name.to_string();
    let (folder, rest) = name.split_at(2);
    let path = stage.config.data.join("blobs").join(folder).join(rest);
    fs::read(&path).map_err(|source| Error::file("read", &path, &source))
}

fn identity(storage: &MemoryStorage) -> Result<P256Key, Error> {
    let key = storage.read(Blob::IdentityKey).ok().flatten().ok_or_else(missing)?;
    Ok(P256Key::from_pkcs8(&key)?)
}

fn kem(storage: &MemoryStorage) -> Result<KemSecret, Error> {
    let key = storage.read(Blob::KemKey).ok().flatten().ok_or_else(missing)?;
    let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| missing())?;
    Ok(KemSecret::from_bytes(key)?)
}

fn missing() -> Error {
    Error::new(ErrorCode::Internal, "a simulated device has no keys")
}
