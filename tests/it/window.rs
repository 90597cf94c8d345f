//! The desktop in a real window, on a display that nobody sees.

use std::{fs, path::Path, thread, time::Duration};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    device::Device,
    program::{Process, alone, program, until},
    site::{MODEL, software},
    team::Team,
};
use tests::window::{Page, Stage, Windows};

const PASSPHRASE: &str = "gravel oboe lantern swift cactus";

/// Marks the memory of the screens' process.
const MARK: &str = "the screens are here, and the vault is not";

/// Gives, in the vault's window, what the screens asked for.
fn consent(desk: &Windows) {
    desk.vault().click("button", "Give consent");
    desk.vault().gone("button", "Give consent");
}

#[test]
fn a_fleet_is_founded_signed_for_by_two_and_updated_in_the_real_window() {
    let _alone = alone();
    let stage = Stage::open();
    let desk = stage.windows("home");
    let (main, vault) = (desk.main(), desk.vault());
    // Bob and Carol work by the command line, on the same computer.
    let team = Team::gather();
    for name in ["bob", "carol"] {
        team.newcomer(name);
    }

    found(&stage, &desk, &team);
    nothing_of_the_vaults_reaches_the_screens(&main);
    prove_backup(&stage, &desk);
    let mut device = enrol(&stage, &desk);
    sign_and_publish(&stage, &desk, &team);

    // The device hears nothing for a while, so that its link lapses.
    device.signal(Signal::STOP);
    plan_and_start(&desk);
    main.visit("Links");
    main.row(&[&device.serial], Duration::from_secs(30));
    stage.picture("14-link");
    let link = || {
        let id = "return document.querySelector('[role=row] [title^=lnk_]')?.title";
        main.script(id, &[]).as_str().map(str::to_owned)
    };
    let first = until("the link is there", Duration::from_secs(30), link);
    until("the link lapses, and another is made", Duration::from_secs(120), || {
        link().filter(|now| *now != first)
    });
    stage.picture("15-link-again");

    main.visit("Rollouts");
    main.click("link", &format!("{MODEL} 1.1.0"));
    main.click("button", "Pause");
    main.see("button", "Resume");
    stage.picture("16-paused");
    main.click("button", "Resume");
    main.see("button", "Pause");
    device.signal(Signal::CONT);
    main.see_within("text", "Finished", Duration::from_secs(90));
    stage.picture("17-finished");
    main.visit("Devices");
    main.row(&[&device.serial, "1.1.0"], Duration::from_secs(30));
    stage.picture("18-devices");

    vault.click("button", "Lock now");
    vault.see("button", "Unlock");
    stage.picture("19-locked");
    stage.picture("20-vault-locked");
    device.kill();

    let secret = desk.holding(PASSPHRASE);
    let screens = desk.holding(MARK);
    assert!(!screens.is_empty() && screens.is_disjoint(&secret), "{screens:?} hold what {secret:?} hold");
}

#[test]
fn the_program_itself_cannot_be_driven() {
    let stage = Stage::open();
    let mut command = stage.command(program("fleetseal-desktop"));
    let names = ["TAURI_WEBVIEW_AUTOMATION", "WEBKIT_INSPECTOR_SERVER"];
    command.arg("--home").arg(stage.path("home")).env(names[0], "true").env(names[1], "127.0.0.1:1");
    let desktop = Process::start(&mut command, &stage.path("windows.log"));
    stage.window("^Fleetseal$");
    let held =
        fs::read_to_string(format!("/proc/{}/environ", desktop.id())).expect("what runs has variables");
    assert!(held.contains("DISPLAY=") && !names.iter().any(|name| held.contains(name)), "{held}");
}

#[test]
fn a_second_start_shows_the_windows_of_the_first_and_ends() {
    let stage = Stage::open();
    let start = |log: &str| {
        let mut command = stage.command(program("fleetseal-desktop"));
        Process::start(command.arg("--home").arg(stage.path("home")), &stage.path(log))
    };
    let mut first = start("windows.log");
    stage.window("^Fleetseal$");
    let mut second = start("second.log");
    let ended = until("the second one ends", Duration::from_secs(60), || second.ended());
    assert!(ended.success(), "{}", stage.read("second.log"));
    assert_eq!(first.ended(), None);
}

/// The first run: this computer, a vault, and a fleet of which any two of three sign.
fn found(stage: &Stage, desk: &Windows, team: &Team) {
    let (main, vault) = (desk.main(), desk.vault());
    main.see("heading", "Where is your fleet?");
    stage.picture("01-first-run");
    main.fill("Name of the fleet", "works");
    main.click("button", "Next");
    main.see("heading", "Your vault");
    main.click("button", "Create vault");
    vault.fill("Whose it is", "alice");
    vault.fill("Passphrase", PASSPHRASE);
    vault.fill("The same once more", PASSPHRASE);
    stage.picture("02-vault-create");
    main.script("window.mark = arguments[0]", &[json!(MARK)]);
    let (screens, vaults) = (desk.holding(MARK), desk.holding(PASSPHRASE));
    assert!(!vaults.is_empty() && !screens.is_empty(), "what is looked for is found: {screens:?} {vaults:?}");
    vault.click("button", "Create vault");
    main.click("button", "Next");
    main.fill("Organization, as in every certificate", "Example Works");
    for (n, name) in [(2, "bob"), (3, "carol")] {
        main.fill(&format!("Card of key holder {n}"), &team.text(&format!("{name}.card")));
    }
    stage.picture("03-found");
    main.click("button", "Found the fleet");
    vault.see("button", "Give consent");
    stage.picture("04-vault-consent");
    consent(desk);
    main.see("heading", "Your fleet waits for a signature");
    let file = main.text(".panel .mono");
    stage.picture("05-waits");
    for name in ["bob", "carol"] {
        team.json(name, &["fleet", "sign", &file]);
    }
    main.click("button", "It is signed");
    main.click("button", "Open the overview");
    main.see("text", "No device has enrolled yet.");
    stage.picture("06-overview");
}

/// The screens' window may neither call what is the vault's, nor run or fetch what was not built in.
fn nothing_of_the_vaults_reaches_the_screens(main: &Page<'_>) {
    for command in ["vault_rpc", "close_vault"] {
        let refused = main.later(&format!(
            "const done = arguments[0]; window.__TAURI_INTERNALS__.invoke('{command}', \
             {{ name: 'vault.show', request: {{}} }}).then(() => done('let in'), (why) => done(String(why)))"
        ));
        assert!(refused.as_str().is_some_and(|why| why.contains("not allowed")), "{command}: {refused}");
    }
    let violations = main.later(
        "const done = arguments[0]; const seen = []; \
         document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective)); \
         const script = document.createElement('script'); script.textContent = 'window.inline = true'; \
         document.head.append(script); \
         const image = new Image(); image.src = 'https://attacker.example/x.png'; \
         fetch('https://attacker.example/').catch(() => 0); \
         const look = () => seen.length < 3 ? setTimeout(look, 20) : done([window.inline ?? false, ...seen.sort()]); \
         look()",
    );
    assert_eq!(violations, json!([false, "connect-src", "img-src", "script-src-elem"]));
    let ours = main.url();
    main.script("location.href = 'https://attacker.example/'; window.open('https://attacker.example/')", &[]);
    main.see("heading", "Overview");
    assert_eq!(main.url(), ours);
}

/// A backup of the vault is made through the system's dialog, and opened once as a test.
fn prove_backup(stage: &Stage, desk: &Windows) {
    let (main, vault) = (desk.main(), desk.vault());
    let backup = stage.text("alice.vault-backup");
    main.visit("Vault");
    stage.picture("07-vault");
    main.click("button", "Back up…");
    stage.answer_dialog(&backup);
    until("the backup is written", Duration::from_secs(30), || Path::new(&backup).exists().then_some(()));
    vault.fill("Path of the backup", &backup);
    vault.fill("Passphrase", PASSPHRASE);
    vault.click("button", "Open the backup");
    vault.see("text", "The backup opens. This is remembered.");
    stage.picture("08-vault-backup");
}

/// A model is declared, and a device enrols by a token, checked twice.
fn enrol(stage: &Stage, desk: &Windows) -> Device {
    let main = desk.main();
    main.visit("Devices");
    main.click("button", "Models");
    main.fill("Model", MODEL);
    main.fill("Hardware revisions", "1");
    main.press("\u{e007}");
    main.fill("Component", "main");
    main.click("button", &format!("Declare {MODEL}"));
    main.see("text", "main 16.78 MB");
    stage.picture("09-models");
    main.press("\u{e00c}");
    main.gone("dialog", "Models");

    main.click("button", "Enrol device");
    let mut device = Device::new(&stage.path("P4-0001"), "P4-0001");
    main.fill("Serial number", &device.serial);
    main.fill("Model", MODEL);
    main.fill("Hardware", "1");
    main.click("button", "Make token");
    consent(desk);
    fs::write(device.token(), main.text(".token .mono")).expect("a temporary file can be written");
    stage.picture("10-token");
    main.press("\u{e00c}");
    main.gone("dialog", "Enrol a device");
    thread::scope(|scope| {
        scope.spawn(|| device.enrol());
        main.visit("Inbox");
        main.see("text", "1 devices ask to join");
        stage.picture("11-inbox");
        main.click("button", "Check");
        consent(desk);
        main.see("text", "1 certificates issued…");
    });
    main.click("button", "Check");
    consent(desk);
    main.see("text", "0 certificates issued, 1 devices proven…");
    device.start();
    main.visit("Devices");
    main.row(&[&device.serial, "online"], Duration::from_secs(30));
    device
}

/// A release is proposed and signed in the window, signed by a second person elsewhere, published, sealed.
fn sign_and_publish(stage: &Stage, desk: &Windows, team: &Team) {
    let main = desk.main();
    let software = software("1.1.0") + &"# filler\n".repeat(20_000);
    let file = stage.write("press-4-1.1.0.bin", software).display().to_string();
    main.visit("Releases");
    main.click("button", "New release");
    main.fill("Path of the file", &file);
    main.fill("Model", MODEL);
    main.fill("Hardware revisions", "1");
    main.press("\u{e007}");
    main.fill("Component", "main");
    main.click("field", "Installer");
    main.click("option", "slots");
    main.fill("Version", "1.1.0");
    main.fill("Notes", "Quieter pumps");
    stage.picture("12-propose");
    main.click("button", "Propose 1.1.0");
    main.click("button", "Sign 1.1.0");
    main.click("button", "Sign…");
    desk.vault().see("button", "Give consent");
    stage.picture("13-vault-sign");
    consent(desk);
    let releases = team.json("bob", &["release", "list"]);
    let release = releases["rows"][0]["id"].as_str().expect("the release is there").to_owned();
    team.json("bob", &["release", "sign", &release]);
    main.visit("Releases");
    main.open_row("1.1.0");
    main.click("button", "Publish 1.1.0");
    main.fill("Type 1.1.0 to confirm", "1.1.0");
    main.click("button", "Publish 1.1.0");
    main.click("button", "Seal 1.1.0");
    stage.answer_dialog(&file);
    consent(desk);
    main.see("button", "Roll out 1.1.0");
}

fn plan_and_start(desk: &Windows) {
    let main = desk.main();
    main.click("button", "Roll out 1.1.0");
    for step in ["Targets", "Phases", "Safety", "Delivery", "Preview"] {
        main.click("button", "Next");
        main.reads("[aria-current=step]", step);
        match step {
            "Phases" => main.click("button", "At once"),
            "Delivery" => main.fill("A download link lives…", "1"),
            _ => {}
        }
    }
    main.click("button", "Start for 1 devices");
    consent(desk);
    main.see("button", "Pause");
}
