use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use bytes::Bytes;
use envelope::{
    SealedArtifact, Verified,
    otap::{self, Header, SegmentList},
};
use model::ReleaseId;
use protocol::{
    ErrorCode,
    operator::{ReleaseDetail, UploadSealed},
};

use super::release::{Content, changed, known};
use crate::{
    extract::{Caller, Json, Name},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// Takes a sealed artifact on record, after its signature and every segment of its ciphertext were
/// verified.
pub(super) async fn upload(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(release): Name<ReleaseId>,
    Json(request): Json<UploadSealed>,
) -> Answer<Reply<ReleaseDetail>> {
    let artifacts = Content::of(&known(&server, release).await?)?.artifacts;
    let (trust, now) = (server.trust(), server.now());
    let record = artifacts
        .iter()
        .map(|artifact| {
            let record = SealedArtifact::verify(&request.record, &artifact.model, &trust.keys, now)?;
            Ok((artifact.digest == record.artifact, record))
        })
        .collect::<Result<Vec<_>, envelope::Error>>()?;
    let record: Verified<SealedArtifact> =
        record.into_iter().find(|(same, _)| *same).map(|(_, record)| record).ok_or_else(|| {
            Refusal::new(
                ErrorCode::InvalidObject,
                "The record is of an artifact that the release does not hold.",
            )
        })?;
    let ciphertext = server
        .blobs
        .get(request.ciphertext)
        .await?
        .ok_or_else(|| Refusal::new(ErrorCode::PreconditionFailed, "The ciphertext was not uploaded."))?;
    let length_bytes = ciphertext.length_bytes();
    let segments = request.segments.0.clone();
    let checked = tokio::task::spawn_blocking(move || check(&record, &segments, &ciphertext.into())).await;
    let (record, segments) = checked.map_err(|error| Refusal::internal(&error))??;
    let segment_list = server.blobs.put(Bytes::from(request.segments.0)).await?;
    let sealed = store::SealedArtifact {
        id: request.id,
        artifact: record.artifact,
        record: request.record.0,
        ciphertext: request.ciphertext,
        length_bytes,
        segment_list,
        segments,
        at: now,
    };
    let entry = Record::of(caller.spki, Operation::UploadSealed, &request.id);
    server.audited(entry, server.store.put_sealed(sealed)).await?;
    changed(&server, release).await
}

/// Whether the ciphertext begins with the header that was signed, has the length that follows from it,
/// and consists of the segments that were signed: what a device would find out only in the field. The
/// record, and how many segments there are.
fn check(
    record: &Verified<SealedArtifact>,
    segments: &[u8],
    ciphertext: &Bytes,
) -> Result<(SealedArtifact, u32), Refusal> {
    let wrong = |what: &str| Refusal::new(ErrorCode::InvalidArtifact, what);
    let broken = |error: otap::Error| wrong("The ciphertext is not what was signed.").with(&error);
    if !ciphertext.starts_with(&record.header) {
        return Err(wrong("The ciphertext begins with another header than the one that was signed."));
    }
    let layout = Header::parse(&record.header).map_err(broken)?.layout();
    if layout.ciphertext_len() != ciphertext.len() as u64 {
        return Err(wrong("The ciphertext is longer or shorter than its header says."));
    }
    let list = SegmentList::parse(segments, layout, &record.segment_list).map_err(broken)?;
    for number in 0..layout.segments() {
        let range = layout.segment_range(number).map_err(broken)?;
        let bytes = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let segment = bytes.and_then(|(from, to)| ciphertext.get(from..to)).unwrap_or_default();
        list.verify_segment(number, segment).map_err(broken)?;
    }
    Ok((SealedArtifact::clone(record), layout.segments()))
}
