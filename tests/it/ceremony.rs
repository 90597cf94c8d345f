//! The runbook of the signing ceremony, command by command, as it stands there.

use std::fs;

use crate::{page, program::alone};

#[test]
fn the_ceremony_of_the_runbook_ends_in_a_release_that_a_device_installs() {
    let _alone = alone();
    let played = page::play("runbooks/ceremony.md");
    played.ended_well(&["ceremony/backend.log", "ceremony/device.log"]);
    let installed = fs::read(played.path("ceremony/slots/current/artifact"));
    let released = fs::read(played.path("ceremony/main-1.1.0")).expect("what was released is there");
    assert_eq!(installed.expect("the device installed it"), released);
    for words in ["threshold_not_met", "the PIN of token", "already_signed", "1 succeeded"] {
        played.said(words);
    }
}
