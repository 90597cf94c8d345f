use std::{ops::Range, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use model::LinkId;
use protocol::ErrorCode;
use store::Link;

use crate::{
    extract::{Device, Peer},
    refusal::{Answer, Refusal},
    server::Server,
};

/// The ciphertext behind a link.
pub(super) async fn content(
    State(server): State<Arc<Server>>,
    device: Device,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Response> {
    let link = open(&server, device, &id).await?;
    let download = server.downloads.of(&link);
    if server.downloads.settle(&download).await {
        // What is on record now may have been the last of it.
        open(&server, device, &id).await?;
    }
    let length = link.length_bytes;
    let (status, range) = match asked(&headers, length)? {
        Some(range) => (StatusCode::PARTIAL_CONTENT, range),
        None => (StatusCode::OK, 0..length),
    };
    let bytes = blob(&server, link.ciphertext).await?;
    if bytes.len() as u64 != length {
        return Err(Refusal::internal(&store::Error::Damaged { reason: "a ciphertext is too short".into() }));
    }
    let bytes = bytes.slice(index(range.start)?..index(range.end)?);
    let body = server.downloads.body(download, bytes, range.start, server.clock(), peer.failed);
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    octets(response.headers_mut());
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        let range = HeaderValue::try_from(range).expect("digits and punctuation");
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

/// The SHA-256 of each segment of the ciphertext.
pub(super) async fn segments(
    State(server): State<Arc<Server>>,
    device: Device,
    Path(id): Path<String>,
) -> Answer<Response> {
    let link = open(&server, device, &id).await?;
    let mut response = Response::new(Body::from(blob(&server, link.segment_list).await?));
    octets(response.headers_mut());
    Ok(response)
}

/// The link, if it opens for this device now. Whatever else is the matter, the answer is the same.
async fn open(server: &Server, Device(identity): Device, id: &str) -> Answer<Arc<Link>> {
    let gone = || Refusal::new(ErrorCode::LinkGone, "This link leads nowhere.");
    let id: LinkId = id.parse().map_err(|_| gone())?;
    let link = server.store.link(id, server.now()).await?.ok_or_else(gone)?;
    if link.device != identity.device || link.spki != identity.spki {
        server.foreign_link(identity.device, link.device).await?;
        return Err(gone());
    }
    Ok(link)
}

async fn blob(server: &Server, digest: model::Digest) -> Answer<Bytes> {
    server.blobs.get(digest).await?.map(Bytes::from).ok_or_else(|| {
        Refusal::internal(&store::Error::Damaged { reason: "the content behind a link is missing".into() })
    })
}

fn index(at: u64) -> Answer<usize> {
    usize::try_from(at)
        .map_err(|_| Refusal::new(ErrorCode::RangeUnsatisfiable, "The range lies too far out."))
}

fn octets(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
}

/// The one range that is asked for (RFC 9110, 14.2); all of it where there is none, or several, or it is
/// in other units.
fn asked(headers: &HeaderMap, length: u64) -> Answer<Option<Range<u64>>> {
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = asked.and_then(|text| text.strip_prefix("bytes=")?.split_once('-')) else {
        return Ok(None);
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<u64>().ok() } else { None }
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(tail)) if first.is_empty() => length.saturating_sub(tail)..length,
        (_, _) => return Ok(None),
    };
    if range.start < range.end {
        return Ok(Some(range));
    }
    Err(Refusal::new(ErrorCode::RangeUnsatisfiable, format!("The content has {length} bytes.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            super::asked(&headers, 1_000).map_err(|refusal| refusal.code())
        };
        assert_eq!(asked("bytes=0-99"), Ok(Some(0..100)));
        assert_eq!(asked("bytes=900-"), Ok(Some(900..1_000)));
        assert_eq!(asked("bytes=-1"), Ok(Some(999..1_000)));
        assert_eq!(asked("bytes=-5000"), Ok(Some(0..1_000)));
        assert_eq!(asked("bytes=500-18446744073709551615"), Ok(Some(500..1_000)));
        for ignored in ["bytes=0-1,5-6", "lines=0-1", "bytes=b-", "bytes=9-1", "bytes=-", "bytes=+1-2"] {
            assert_eq!(asked(ignored), Ok(None), "{ignored}");
        }
        for outside in ["bytes=1000-", "bytes=1000-1001", "bytes=-0"] {
            assert_eq!(asked(outside), Err(ErrorCode::RangeUnsatisfiable), "{outside}");
        }
        assert_eq!(super::asked(&HeaderMap::new(), 1_000).unwrap(), None);
    }
}
