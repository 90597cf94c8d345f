//! One update from end to end.

use model::{DeploymentState, LinkState, RolloutState, Seconds};
use protocol::{
    device::{PushEvent, link_path, path, segments_path},
    operator::{FleetSummary, LinkRow, Page, path as operator},
};
use testkit::{Running, Stream};

/// The next event that is no sign of life.
pub(crate) async fn next_event(stream: &mut Stream) -> Option<PushEvent> {
    loop {
        match stream.next().await? {
            PushEvent::Ping | PushEvent::Hello { .. } => {}
            event => return Some(event),
        }
    }
}

/// The next offer on a push stream.
pub(crate) async fn next_offer(stream: &mut Stream) -> protocol::device::Offer {
    loop {
        match next_event(stream).await.unwrap() {
            PushEvent::Offer(offer) => return offer,
            PushEvent::Metadata | PushEvent::Ping | PushEvent::Hello { .. } => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_travels_from_the_proposal_to_the_confirmation() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let released = running.release("1.2.0", 3_000_000).await;
    let mut line = device.connect(&running).await;
    let hello = device.check_in(&mut line).await;
    assert!(hello.offers.is_empty());
    assert!((240..=360).contains(&hello.poll_after.0));
    let mut push = device.connect(&running).await.stream(path::PUSH).await;

    let rollout = running.roll_out(&released, &[&device], running.policy(&[1])).await;
    let offer = next_offer(&mut push).await;
    let link = device.open_link(&running, &offer, running.now());
    assert_eq!(link.path, link_path(link.id));
    assert_eq!(link.not_after, running.now() + Seconds::minutes(10));

    let segments = line.get(&segments_path(link.id)).await;
    assert_eq!(segments.body, released.payload.sealed.segments.encode());
    let mut admin = running.admin().await;
    let links: Page<LinkRow> = admin.get(operator::LINKS).await.ok();
    assert_eq!(links.rows[0].state, LinkState::Issued);
    let content = line.get(&link.path).await;
    assert_eq!(content.status, 200);
    assert_eq!(content.body, released.payload.ciphertext);

    for state in [
        DeploymentState::Downloaded,
        DeploymentState::Installing,
        DeploymentState::Rebooting,
        DeploymentState::Confirming,
        DeploymentState::Succeeded,
    ] {
        let taken = device.report(&mut line, &offer, state, running.now()).await;
        assert_eq!(taken.refused, [None], "{state:?}");
    }
    loop {
        let detail = running.rollout(&mut admin, rollout).await;
        if detail.row.state == RolloutState::Finished {
            assert_eq!(detail.row.counts.get(DeploymentState::Succeeded), 1);
            break;
        }
        tokio::task::yield_now().await;
    }
    let summary: FleetSummary = admin.get(operator::FLEET).await.ok();
    assert_eq!((summary.devices.active, summary.devices.online), (1, 1));
    assert_eq!((summary.links.issued, summary.links.consumed, summary.links.open), (1, 1, 0));
    assert_eq!((summary.open_rollouts, summary.open_alarms), (0, 0));
}
