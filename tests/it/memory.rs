//! What a device needs for a large update.

use std::{fs, io::Write as _, time::Duration};

use crate::{fleet::Fleet, program::alone};

/// The most memory that an agent's process may have had at any time.
const MOST_KIB: u64 = 16 * 1024;
const GIBIBYTE: usize = 1 << 30;

#[test]
fn an_agent_stays_small_while_it_downloads_a_gigabyte() {
    let _alone = alone();
    let fleet = Fleet::found();
    let mut device = fleet.enrol("P4-000123");
    let file = fleet.write("main-1.1.0", "#!/bin/sh\necho \"press-4 main 1.1.0\"\nexit 0\n");
    let mut software = fs::File::options().append(true).open(&file).expect("it was just written");
    let mut block = vec![0; 1 << 20];
    for number in 0..GIBIBYTE / block.len() {
        block[..8].copy_from_slice(&number.to_le_bytes());
        software.write_all(&block).expect("there is room for a gibibyte");
    }
    let release = fleet.publish("1.1.0", &file);

    device.start();
    let rollout = fleet.roll_out(&release);
    fleet.wait_for_rollout(&rollout, 1, Duration::from_secs(180));
    let status = fs::read_to_string(format!("/proc/{}/status", device.process())).expect("the agent runs");
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).expect("Linux says it");
    let peak = line("VmHWM:").split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let peak = peak.expect("it is a number of KiB");
    assert!(peak <= MOST_KIB, "{peak} KiB at its peak; now {} {}", line("RssAnon:"), line("RssFile:"));
}
