use super::scene::{Scene, component};
use crate::{
    Action,
    device::{IllegalStep, Order, Refusal, State, StateLost, TrialStep},
};

/// A scene whose device accepted its ticket, and that ticket.
fn accepted() -> (Scene, Vec<u8>) {
    let mut scene = Scene::new();
    let ticket = scene.ticket();
    scene.state = scene.state.accept(&scene.install(&ticket));
    (scene, ticket)
}

fn confirmed(scene: &Scene) -> String {
    let main = scene.state.component(&component("main")).unwrap();
    format!("{} {}", main.confirmed.as_ref().unwrap(), main.security_counter)
}

#[test]
fn r14_version_and_counter_count_once_the_new_software_confirmed_itself() {
    let (mut scene, ticket) = accepted();
    scene.state = scene.state.start_install(&scene.install(&ticket)).unwrap();
    assert_eq!(confirmed(&scene), "1.3.0 6");
    assert_eq!(scene.state.confirmed().unwrap_err(), IllegalStep::NotBooted);
    scene.state = scene.state.trial_booted().unwrap();
    assert_eq!(confirmed(&scene), "1.3.0 6");
    scene.state = scene.state.confirmed().unwrap();
    assert_eq!(confirmed(&scene), "1.4.0+12 7");
    assert!(scene.state.trial().is_none());
    assert_eq!(scene.state.confirmed().unwrap_err(), IllegalStep::NoTrial);
}

#[test]
fn r13_a_ticket_that_was_carried_out_is_refused() {
    let (mut scene, _) = accepted();
    let installation = scene.statement.action.installation().cloned().unwrap();
    scene.statement.action = Action::Reinstall(Box::new(installation));
    scene.statement.seq += 1;
    let ticket = scene.ticket();
    scene.state = scene.state.accept(&scene.install(&ticket));
    scene.state = scene.state.start_install(&scene.install(&ticket)).unwrap();
    scene.state = scene.state.trial_booted().and_then(|state| state.confirmed()).unwrap();
    let stored = scene.statement.seq;
    let refused = scene.offer_ticket(&ticket).unwrap_err();
    assert_eq!(refused, Refusal::TicketSpent { stored });
    assert_eq!(refused.stored_seq(), Some(stored));
}

#[test]
fn a_ticket_is_dead_after_three_attempts() {
    let (mut scene, ticket) = accepted();
    for _ in 0..3 {
        // A download that begins anew counts for nothing.
        scene.state = scene.state.accept(&scene.install(&ticket));
        scene.state = scene.state.start_install(&scene.install(&ticket)).unwrap();
        scene.state = scene.state.failed().unwrap();
    }
    let stored = scene.statement.seq;
    assert_eq!(scene.offer_ticket(&ticket).unwrap_err(), Refusal::AttemptsExhausted { stored });
    // A new ticket starts anew.
    scene.statement.seq += 1;
    let ticket = scene.ticket();
    scene.state = scene.state.accept(&scene.install(&ticket));
    assert!(scene.state.start_install(&scene.install(&ticket)).is_ok());
}

#[test]
fn an_attempt_after_a_power_cut_in_the_middle_counts() {
    let (mut scene, ticket) = accepted();
    let install = scene.install(&ticket);
    for attempt in 1..=3 {
        scene.state = scene.state.start_install(&install).unwrap();
        assert_eq!(scene.state.component(&component("main")).unwrap().attempts, attempt);
    }
    assert_eq!(scene.state.start_install(&install).unwrap_err(), IllegalStep::Exhausted);
    let stored = scene.statement.seq;
    assert_eq!(scene.offer_ticket(&ticket).unwrap_err(), Refusal::AttemptsExhausted { stored });
    scene.state = scene.state.failed().unwrap();
    assert!(scene.state.trial().is_none());
}

#[test]
fn r13_an_older_ticket_is_refused_once_a_newer_was_accepted() {
    let (mut scene, older) = accepted();
    let install = scene.install(&older);
    scene.statement.seq += 1;
    let newer = scene.ticket();
    scene.state = scene.state.accept(&scene.install(&newer));
    let refused = scene.offer_ticket(&older).unwrap_err();
    assert_eq!(refused, Refusal::SeqReplayed { stored: scene.statement.seq });
    assert_eq!(refused.stored_seq(), Some(scene.statement.seq));
    assert_eq!(scene.state.start_install(&install).unwrap_err(), IllegalStep::NotAccepted);
}

#[test]
fn a_hold_stops_what_was_delivered_before_the_installer_is_fed() {
    let (mut scene, ticket) = accepted();
    let install = scene.install(&ticket);
    scene.statement.action = Action::Hold;
    scene.statement.seq += 1;
    let Ok(Order::Hold(hold)) = scene.offer() else { panic!("the hold is for this device") };
    scene.state = scene.state.hold(&hold);
    assert_eq!(scene.state.start_install(&install).unwrap_err(), IllegalStep::NotAccepted);
    let stored = scene.statement.seq;
    assert_eq!(scene.offer_ticket(&ticket).unwrap_err(), Refusal::SeqReplayed { stored });
}

#[test]
fn nothing_comes_between_installer_and_confirmation() {
    let (mut scene, ticket) = accepted();
    scene.state = scene.state.start_install(&scene.install(&ticket)).unwrap();
    let running = Refusal::TrialRunning { component: component("main") };
    // The same ticket may feed the installer again, a newer one or a hold may not come in between.
    assert!(scene.offer_ticket(&ticket).is_ok());
    scene.statement.seq += 1;
    assert_eq!(scene.offer().unwrap_err(), running);
    let install = scene.statement.clone();
    scene.statement.action = Action::Hold;
    assert_eq!(scene.offer().unwrap_err(), running);
    scene.statement.component = component("boot");
    assert!(matches!(scene.offer(), Ok(Order::Hold(_))));

    scene.state = scene.state.trial_booted().unwrap();
    assert_eq!(scene.offer_ticket(&ticket).unwrap_err(), running);
    assert_eq!(scene.state.failed().unwrap_err(), IllegalStep::TrialRunning);
    scene.state = scene.state.rolled_back().unwrap();
    assert_eq!(confirmed(&scene), "1.3.0 6");
    scene.statement = install;
    assert!(scene.offer().is_ok());
}

#[test]
fn what_is_stored_reads_back_and_damage_to_both_copies_is_a_loss() {
    let (mut scene, ticket) = accepted();
    let older = scene.state.to_bytes();
    scene.state = scene.state.start_install(&scene.install(&ticket)).unwrap();
    let newer = scene.state.to_bytes();
    let read = State::choose(Some(&older), Some(&newer)).unwrap();
    assert_eq!(read, scene.state);
    assert_eq!(read.trial().unwrap().step, TrialStep::Installing);
    let mut damaged = newer.clone();
    damaged[30] ^= 1;
    assert_eq!(State::choose(Some(&damaged), Some(&older)).unwrap().to_bytes(), older);
    assert_eq!(State::choose(Some(&damaged), Some(&newer[..9])).unwrap_err(), StateLost);
}

#[test]
fn a_field_of_newer_software_does_not_lose_the_state_when_it_rolls_back() {
    let state = Scene::new().state;
    let mut content: serde_json::Value = serde_json::to_value(&state).unwrap();
    content["something_new"] = true.into();
    let read: State = serde_json::from_value(content).unwrap();
    assert_eq!(read.components(), state.components());
}

#[test]
fn new_keys_make_tickets_for_the_old_ones_worthless() {
    let (mut scene, ticket) = accepted();
    let identity = super::scene::other(scene.fleet.me.identity);
    scene.state = scene.state.rekeyed(identity);
    assert_eq!(scene.offer_ticket(&ticket).unwrap_err(), Refusal::WrongIdentity);
}
