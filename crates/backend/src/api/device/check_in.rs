use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use envelope::{CheckIn, SystemRandom};
use model::{Random, Seconds};
use protocol::{
    Base64, ErrorCode,
    device::{CheckInRequest, CheckInResponse},
    operator::Hint,
};
use store::{CheckedIn, VersionReport};

use crate::{
    extract::{Device, Json},
    refusal::{Answer, Refusal},
    server::Server,
};

/// More components than any device has.
const COMPONENTS_MOST: usize = 64;

pub(super) async fn check_in(
    State(server): State<Arc<Server>>,
    Device(identity): Device,
    Json(request): Json<CheckInRequest>,
) -> Answer<Reply<CheckInResponse>> {
    let invalid = |what: &str| Refusal::new(ErrorCode::InvalidRequest, what);
    let nonce: [u8; 16] = request.nonce.as_ref().try_into().map_err(|_| invalid("A nonce has 16 bytes."))?;
    if request.components.len() > COMPONENTS_MOST {
        return Err(invalid("These are more components than a device has."));
    }
    let (device, now) = (identity.device, server.now());
    let check_in = store::CheckIn { device, counter: request.counter, nonce, at: now };
    let [outcome] = server.store.check_in(vec![check_in]).await?[..] else {
        return Err(Refusal::internal(&store::Error::NotFound { what: "outcome" }));
    };
    match outcome {
        CheckedIn::Taken | CheckedIn::Repeated => {}
        CheckedIn::Forked { counter } => {
            server.push.close(device);
            server.hint(Hint::Alarm);
            server.hint(Hint::Device { device });
            tracing::warn!(device_id = %device, counter, shown = request.counter, "a device's counter forked");
            return Err(Refusal::new(
                ErrorCode::DeviceCloned,
                "The device's counter forked: its disk was copied.",
            ));
        }
        CheckedIn::NotActive => {
            return Err(Refusal::new(ErrorCode::DeviceUnrecognized, "The device is not active."));
        }
    }
    let versions: Vec<_> = request
        .components
        .into_iter()
        .map(|part| VersionReport {
            device,
            component: part.component,
            version: part.version,
            confirmed: Some(part.security_counter),
            at: now,
        })
        .collect();
    if outcome == CheckedIn::Taken && !versions.is_empty() {
        server.store.record_versions(versions).await?;
        server.hint(Hint::Device { device });
    }
    let offers = server.offers_for(device).await?;
    let signed = CheckIn { device, nonce, at: now }.sign(server.link_key())?;
    let poll_after = jittered(server.config.poll_after);
    Ok(Reply(CheckInResponse { check_in: Base64(signed), poll_after, offers }))
}

/// A fifth more or less, so that devices which came together do not come together again.
fn jittered(about: Seconds) -> Seconds {
    let mut bytes = [0; 4];
    SystemRandom.fill(&mut bytes);
    let share = u64::from(u32::from_be_bytes(bytes)) % 401 + 800;
    Seconds((about.0.saturating_mul(share) / 1_000).max(1))
}
