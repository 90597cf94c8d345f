//! The page of the service bench, command by command, as it stands there.

use crate::{page, program::alone};

#[test]
fn a_technician_without_a_network_updates_a_board_and_the_receipt_comes_home() {
    let _alone = alone();
    let played = page::play("bench.md");
    played.ended_well(&["backend.log", "board.log"]);
    // Offline it waits; what is altered, for another bench, sealed, false or replayed is refused.
    for words in [
        "the bundle's payload is not what was signed",
        "the bundle was made for another bench",
        "mode: sealed",
        "P4-000000 does not prove who it is",
        "the ticket was carried out before",
        "0 handed in, 1 waiting",
        "1 handed in, 0 waiting",
        "R-000000 was revoked",
    ] {
        played.said(words);
    }
}
