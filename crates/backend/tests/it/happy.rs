//! One update from end to end.

use model::{DeploymentState, LinkState, RolloutState, Seconds};
use protocol::{
    device::{link_path, segments_path},
    operator::{FleetSummary, path},
};
use testkit::Running;

use crate::support::{links, next_offer, online, reaches};

#[tokio::test(flavor = "multi_thread")]
async fn an_update_travels_from_the_proposal_to_the_confirmation() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let released = running.release("1.2.0", 3_000_000).await;
    let (mut line, mut push) = online(&running, &mut device).await;
    let hello = device.check_in(&mut line).await;
    assert!(hello.offers.is_empty());
    assert!((240..=360).contains(&hello.poll_after.0));

    let rollout = running.roll_out(&released, &[&device], running.policy(&[1])).await;
    let offer = next_offer(&mut push).await;
    let link = device.open_link(&running, &offer, running.now());
    assert_eq!(link.path, link_path(link.id));
    assert_eq!(link.not_after, running.now() + Seconds::minutes(10));

    let segments = line.get(&segments_path(link.id)).await;
    assert_eq!(segments.body, released.payload.sealed.segments.encode());
    let mut admin = running.admin().await;
    assert_eq!(links(&mut admin).await[0].state, LinkState::Issued);
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
    let detail = reaches(&running, &mut admin, rollout, RolloutState::Finished).await;
    assert_eq!(detail.row.counts.get(DeploymentState::Succeeded), 1);
    let summary: FleetSummary = admin.get(path::FLEET).await.ok();
    assert_eq!((summary.devices.active, summary.devices.online), (1, 1));
    assert_eq!((summary.links.issued, summary.links.consumed, summary.links.open), (1, 1, 0));
    assert_eq!((summary.open_rollouts, summary.open_alarms), (0, 0));
}
