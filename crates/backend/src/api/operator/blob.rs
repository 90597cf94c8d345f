use std::{ops::Range, sync::Arc};

use axum::{
    Json as Reply,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use model::{Digest, JobId};
use protocol::{
    ErrorCode,
    operator::{AlarmKind, ArtifactUpload, BlobPart},
};
use store::Blobs;

use crate::{
    extract::{Name, Params},
    refusal::{Answer, Refusal},
    server::Server,
};

/// Ciphertexts are not longer than this.
const LONGEST: u64 = 64 * 1024 * 1024 * 1024;
/// What is written at once.
const PIECE: usize = 1024 * 1024;

/// Takes a part of a ciphertext, or says how far it has come. What was written stays when the connection
/// breaks.
pub(super) async fn put(
    State(server): State<Arc<Server>>,
    Name(digest): Name<Digest>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Reply<ArtifactUpload>> {
    let taken = take(&server, digest, &headers, body).await;
    if taken.as_ref().is_err_and(|refusal| refusal.code() == ErrorCode::StorageFull) {
        server.alarm(AlarmKind::Storage, None, "There was no space for an upload.".into()).await?;
    }
    taken.map(Reply)
}

/// Hands out a part of a ciphertext, for an offline bundle. What stands in it, no reader of it can tell.
pub(super) async fn part_of(
    State(server): State<Arc<Server>>,
    Name(digest): Name<Digest>,
    Params(part): Params<BlobPart>,
) -> Answer<Bytes> {
    let blob = server.blobs.get(digest).await?.ok_or_else(|| Refusal::not_found("ciphertext"))?;
    let end = part.offset.saturating_add(part.length.min(BlobPart::MOST)).min(blob.length_bytes());
    blob.slice(part.offset.min(end)..end)
        .ok_or_else(|| Refusal::new(ErrorCode::RangeUnsatisfiable, "The ciphertext has no such part."))
}

async fn take(server: &Server, digest: Digest, headers: &HeaderMap, body: Body) -> Answer<ArtifactUpload> {
    let (part, total) = part(headers)?;
    let blobs = &server.blobs;
    if let Some(blob) = blobs.get(digest).await? {
        return Ok(ArtifactUpload { stored_bytes: blob.length_bytes(), complete: true });
    }
    let upload = upload_of(digest);
    let mut stored = blobs.upload_offset(upload).await?;
    if let Some(part) = part {
        if part.start != stored {
            let wrong = Refusal::new(ErrorCode::Conflict, "The upload goes on elsewhere.");
            return Err(wrong.with(&format!("{stored} bytes are stored")));
        }
        stored = write(server, blobs, upload, part, body).await?;
    }
    if stored < total {
        return Ok(ArtifactUpload { stored_bytes: stored, complete: false });
    }
    let stored_bytes = blobs.finish(upload, digest).await?;
    Ok(ArtifactUpload { stored_bytes, complete: true })
}

/// Writes the body piece by piece; how many bytes are stored then.
async fn write(
    server: &Server,
    blobs: &Blobs,
    upload: JobId,
    part: Range<u64>,
    mut body: Body,
) -> Answer<u64> {
    let mut at = part.start;
    let mut piece = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(server.config.limits.stall, body.frame()).await;
        let frame = frame.map_err(|_| Refusal::new(ErrorCode::Timeout, "The body took too long."))?;
        match frame {
            Some(Ok(frame)) => piece.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(_)) => {
                blobs.append(upload, at, piece.split().freeze()).await?;
                return Err(Refusal::new(ErrorCode::InvalidRequest, "The body broke off."));
            }
            None => break,
        }
        if at + piece.len() as u64 > part.end {
            return Err(Refusal::new(ErrorCode::TooLarge, "The body is longer than its range."));
        }
        if piece.len() >= PIECE {
            at = blobs.append(upload, at, piece.split().freeze()).await?;
        }
    }
    let rest: Bytes = piece.freeze();
    if rest.is_empty() { Ok(at) } else { Ok(blobs.append(upload, at, rest).await?) }
}

/// One upload per content, whoever sends it.
fn upload_of(digest: Digest) -> JobId {
    let (head, _) = digest.as_bytes().split_at(JobId::LEN);
    JobId::new(head.try_into().expect("split at the length of an id"))
}

/// `Content-Range` (RFC 9110, 14.4): which part this is of how much; no part where only the way so far is
/// asked for.
fn part(headers: &HeaderMap) -> Answer<(Option<Range<u64>>, u64)> {
    let wrong = || Refusal::new(ErrorCode::InvalidRequest, "An upload needs a Content-Range of bytes.");
    let text = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
    let (range, total) =
        text.strip_prefix("bytes ").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
    let total: u64 = total.parse().map_err(|_| wrong())?;
    if total > LONGEST {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("A ciphertext has at most {LONGEST} bytes.")));
    }
    if range == "*" {
        return Ok((None, total));
    }
    let (first, last) = range.split_once('-').ok_or_else(wrong)?;
    let (first, last): (u64, u64) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first > last || last >= total {
        return Err(wrong());
    }
    Ok((Some(first..last + 1), total))
}
