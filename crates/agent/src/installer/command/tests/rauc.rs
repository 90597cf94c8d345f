//! RAUC itself: its service, its bundles, its slots, on files. What is not there is a boot loader that
//! chooses, and a machine that reboots; a program of RAUC's interface for boot loaders stands for that.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::*;

/// Chooses the primary slot unless it is marked as bad.
const BOOT_LOADER: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
state() { cat "state-$1" 2>/dev/null || echo good; }
put() { rm -f "$1"; echo "$2" >"$1"; }
case $1 in
get-primary)
    primary=$(cat primary 2>/dev/null || echo A)
    other=$(echo "$primary" | tr AB BA)
    if [ "$(state "$primary")" = good ]; then echo "$primary"; else echo "$other"; fi ;;
set-primary) put primary "$2"; put "state-$2" good ;;
get-state) state "$2" ;;
set-state) put "state-$2" "$3" ;;
esac
"#;

/// A device with two slots for its system and a dozen for data.
struct Machine {
    dir: tempfile::TempDir,
    bus: Option<Child>,
    service: Option<Child>,
}

impl Machine {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let at = dir.display();
        signer(dir, "us", "emailProtection");
        signer(dir, "others", "emailProtection");
        let systems = [("rootfs", 0, "bootname=A\n"), ("rootfs", 1, "bootname=B\n")];
        let data = (0..12).map(|index| ("data-of-the-customer", index, ""));
        let mut slots = String::new();
        for (class, index, more) in systems.into_iter().chain(data) {
            let device = dir.join(format!("{class}.{index}"));
            fs::write(&device, vec![0_u8; 1 << 20]).unwrap();
            let device = device.display();
            slots.push_str(&format!("[slot.{class}.{index}]\ndevice={device}\ntype=raw\n{more}\n"));
        }
        let system = format!(
            "[system]\ncompatible=press-4\nbootloader=custom\nstatusfile={at}/status\nmountprefix={at}/mnt\n\n\
             [handlers]\nbootloader-custom-backend={at}/boot-loader\n\n[keyring]\npath={at}/us.pem\n\n{slots}"
        );
        fs::write(dir.join("system.conf"), system).unwrap();
        fs::create_dir(dir.join("mnt")).unwrap();
        fs::write(dir.join("boot-loader"), BOOT_LOADER).unwrap();
        fs::set_permissions(dir.join("boot-loader"), fs::Permissions::from_mode(0o755)).unwrap();
        let bus = format!(
            "<busconfig><type>session</type><listen>unix:path={at}/bus</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/><allow user=\"*\"/></policy></busconfig>"
        );
        fs::write(dir.join("bus.conf"), bus).unwrap();
        let mut machine = Self { dir: temp, bus: None, service: None };
        machine.boot();
        machine
    }

    /// Goes down, and comes up in the slot that the boot loader chooses.
    fn boot(&mut self) {
        self.halt();
        let dir = self.dir.path().display().to_string();
        let slot = self.boot_loader(&["get-primary"]);
        let bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={dir}/bus.conf"))
            .args(["--nofork", "--nopidfile"])
            .stderr(Stdio::null())
            .spawn();
        self.bus = Some(bus.expect("`cargo xtask test` installs a bus"));
        self.wait("the bus", |machine| machine.dir.path().join("bus").exists());
        // Only the service mounts, for which it must be root.
        let mut argv = Vec::new();
        if !rustix::process::geteuid().is_root() {
            argv.extend(["sudo", "-n"].map(str::to_owned));
        }
        argv.extend(self.on_bus());
        argv.extend(["rauc".to_owned(), format!("--conf={dir}/system.conf")]);
        argv.extend([format!("--override-boot-slot={}", slot.trim()), "service".to_owned()]);
        let log = fs::File::create(self.dir.path().join("service.log")).unwrap();
        let service = Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.service = Some(service.expect("`cargo xtask test` installs RAUC"));
        self.wait("RAUC's service", |machine| {
            let status = [machine.on_bus(), ["rauc", "status"].map(str::to_owned).to_vec()].concat();
            Command::new(&status[0]).args(&status[1..]).output().is_ok_and(|answer| answer.status.success())
        });
    }

    /// Without its bus the service ends by itself.
    fn halt(&mut self) {
        if let Some(mut bus) = self.bus.take() {
            bus.kill().ok();
            bus.wait().ok();
        }
        if let Some(mut service) = self.service.take() {
            service.wait().ok();
        }
        fs::remove_file(self.dir.path().join("bus")).ok();
    }

    fn wait(&self, what: &str, there: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !there(self) {
            let log = fs::read_to_string(self.dir.path().join("service.log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(20), "{what} does not come: {log}");
            sleep(Duration::from_millis(20));
        }
    }

    fn boot_loader(&self, arguments: &[&str]) -> String {
        let program = self.dir.path().join("boot-loader").display().to_string();
        tool(&[&[program.as_str()][..], arguments].concat())
    }

    fn on_bus(&self) -> Vec<String> {
        let bus = format!("DBUS_SESSION_BUS_ADDRESS=unix:path={}", self.dir.path().join("bus").display());
        vec!["env".to_owned(), "DBUS_STARTER_BUS_TYPE=session".to_owned(), bus]
    }

    /// The installer as it comes, on this machine's bus.
    fn installer(&self) -> CommandInstaller {
        let mut plan = CommandPlan::rauc();
        plan.reboot = Some(Program::new(&["true"], 5));
        let on_bus = self.on_bus();
        let others = [&mut plan.booted, &mut plan.confirm, &mut plan.roll_back, &mut plan.abandon];
        for program in others.into_iter().flatten().chain([&mut plan.install]) {
            drop(program.argv.splice(0..0, on_bus.clone()));
        }
        installer(self.dir.path(), plan)
    }

    /// A bundle with this image, as `rauc bundle` makes and signs it.
    fn bundle(&self, signer: &str, compatible: &str, image: &[u8]) -> Whole {
        let dir = self.dir.path().join("bundle");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("rootfs.img"), image).unwrap();
        let manifest = format!(
            "[update]\ncompatible={compatible}\nversion=2.0.0\n\n[bundle]\nformat=plain\n\n\
             [image.rootfs]\nfilename=rootfs.img\n"
        );
        fs::write(dir.join("manifest.raucm"), manifest).unwrap();
        let at = self.dir.path().display();
        let (cert, key) = (format!("--cert={at}/{signer}.pem"), format!("--key={at}/{signer}.key"));
        let out = format!("{at}/out.raucb");
        tool(&["rauc", "bundle", &cert, &key, &dir.display().to_string(), &out]);
        let bundle = Whole::read(Path::new(&out));
        fs::remove_file(out).and_then(|()| fs::remove_dir_all(dir)).unwrap();
        bundle
    }

    fn slot(&self, index: usize) -> Vec<u8> {
        fs::read(self.dir.path().join(format!("rootfs.{index}"))).unwrap()
    }

    /// With the new software installed, and about to go down for it.
    async fn about_to_try(&self) -> CommandInstaller {
        let mut installer = self.installer();
        let image = vec![7; 200_000];
        installer.install(&artifact(), &mut self.bundle("us", "press-4", &image)).await.unwrap();
        assert!(self.slot(1).starts_with(&image) && self.slot(0)[0] == 0, "beside what runs");
        assert_eq!(installer.start_trial(&artifact()).await.unwrap(), Boot::Restarting);
        assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::NotStarted);
        installer
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.halt();
    }
}

#[tokio::test]
async fn rauc_itself_installs_a_bundle_that_boots_on_trial_and_is_kept() {
    let mut machine = Machine::new();
    let mut installer = machine.about_to_try().await;
    machine.boot();
    rebooted(machine.dir.path());
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::Running);
    installer.confirm(&artifact()).await.unwrap();
    assert_eq!(machine.boot_loader(&["get-state", "B"]).trim(), "good");
    assert_eq!(machine.boot_loader(&["get-primary"]).trim(), "B");
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::NotStarted);
}

#[tokio::test]
async fn rauc_itself_goes_back_from_software_that_is_given_up() {
    let mut machine = Machine::new();
    let mut installer = machine.about_to_try().await;
    machine.boot();
    rebooted(machine.dir.path());
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Restarting);
    assert_eq!(machine.boot_loader(&["get-state", "B"]).trim(), "bad");
    machine.boot();
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::FellBack);
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Running);
    machine.boot_loader(&["set-state", "B", "good"]);
    assert_eq!(machine.boot_loader(&["get-primary"]).trim(), "A", "the old one is the primary again");
}

#[tokio::test]
async fn a_boot_loader_that_went_back_is_noticed_by_what_rauc_itself_says() {
    let mut machine = Machine::new();
    let mut installer = machine.about_to_try().await;
    // It ran out of boot attempts.
    machine.boot_loader(&["set-state", "B", "bad"]);
    machine.boot();
    rebooted(machine.dir.path());
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::FellBack);
}

#[tokio::test]
async fn rauc_itself_refuses_what_others_signed_and_what_is_for_other_devices() {
    let machine = Machine::new();
    let mut installer = machine.installer();
    let mut altered = machine.bundle("us", "press-4", &[7; 200_000]);
    altered.0[1_000] ^= 1;
    for (mut bundle, why) in [
        (machine.bundle("others", "press-4", &[7; 200_000]), "ignature"),
        (machine.bundle("us", "press-5", &[7; 200_000]), "ompatible"),
        (altered, "ignature"),
    ] {
        let said = refusal(installer.install(&artifact(), &mut bundle).await);
        assert!(said.contains(why), "`{why}` in {said}");
    }
    assert_eq!(machine.slot(1), vec![0_u8; 1 << 20], "nothing was written");
}
