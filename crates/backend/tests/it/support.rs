use std::time::Duration;

use model::{RolloutId, RolloutState};
use protocol::{
    device::{Offer, PushEvent, path},
    operator::{AlarmKind, AlarmRow, LinkRow, Page, RolloutDetail, path as operator},
};
use testkit::{Client, Device, Running, Stream};

/// Looks until `look` finds something; fails after ten seconds.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), found).await;
    waited.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// A device with its push stream open, and a line for requests.
pub(crate) async fn online(running: &Running, device: &mut Device) -> (Client, Stream) {
    let mut line = device.connect(running).await;
    device.check_in(&mut line).await;
    let mut stream = device.connect(running).await.stream(path::PUSH).await;
    assert!(matches!(stream.next().await, Some(PushEvent::Hello { .. })));
    (line, stream)
}

/// The next event that is no sign of life; none when the stream has ended.
pub(crate) async fn next_event(stream: &mut Stream) -> Option<PushEvent> {
    let event = async {
        loop {
            match stream.next().await? {
                PushEvent::Ping | PushEvent::Hello { .. } => {}
                event @ (PushEvent::Offer(_) | PushEvent::Metadata) => return Some(event),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), event).await.expect("an event within ten seconds")
}

/// The next offer.
pub(crate) async fn next_offer(stream: &mut Stream) -> Offer {
    loop {
        match next_event(stream).await.expect("the stream is open") {
            PushEvent::Offer(offer) => return offer,
            PushEvent::Metadata | PushEvent::Ping | PushEvent::Hello { .. } => {}
        }
    }
}

/// The alarms so far.
pub(crate) async fn alarms(admin: &mut Client) -> Vec<AlarmRow> {
    let page: Page<AlarmRow> = admin.get(operator::ALARMS).await.ok();
    page.rows
}

/// How often an alarm of this kind was raised.
pub(crate) async fn alarmed(admin: &mut Client, kind: AlarmKind) -> u32 {
    alarms(admin).await.iter().filter(|alarm| alarm.kind == kind).map(|alarm| alarm.count).sum()
}

/// The open links.
pub(crate) async fn links(admin: &mut Client) -> Vec<LinkRow> {
    let page: Page<LinkRow> = admin.get(operator::LINKS).await.ok();
    page.rows
}

/// Waits until a rollout is in this state.
pub(crate) async fn reaches(
    running: &Running,
    admin: &mut Client,
    rollout: RolloutId,
    state: RolloutState,
) -> RolloutDetail {
    until(state.as_str(), async || {
        let detail = running.rollout(admin, rollout).await;
        (detail.row.state == state).then_some(detail)
    })
    .await
}
