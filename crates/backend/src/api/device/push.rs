use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use protocol::{device::PushEvent, operator::Hint};

use crate::{
    extract::{Device, Peer},
    refusal::Answer,
    server::Server,
};

pub(super) async fn push(
    State(server): State<Arc<Server>>,
    Device(identity): Device,
    peer: Peer,
) -> Answer<Response> {
    let device = identity.device;
    let hello = PushEvent::Hello { server_time: server.now() };
    let body = server.push.open(device, &[hello], server.config.ping);
    // A revocation closes the streams that are open: one that came between the first look and the
    // opening would have closed none.
    if let Err(refusal) = server.device_of(peer.identity.spki).await {
        server.push.close(device);
        return Err(refusal);
    }
    for offer in server.offers_for(device).await? {
        server.push.send(device, &PushEvent::Offer(offer));
    }
    server.hint(Hint::Device { device });
    Ok(ndjson(body))
}

/// One JSON object a line.
pub(crate) fn ndjson(body: axum::body::Body) -> Response {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
