//! SWUpdate itself: its daemon, its client, files signed for it, and the boot loader's environment as
//! `fw_setenv` keeps it, on files. What is not there is a boot loader that reads it, and a machine that
//! reboots.

use std::{
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::*;

/// A device of revision 1 of its hardware, which installs into the second of two copies.
struct Machine {
    dir: tempfile::TempDir,
    daemon: Child,
}

impl Machine {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        signer(dir, "us", "emailProtection");
        signer(dir, "others", "emailProtection");
        fs::create_dir(dir.join("tmp")).unwrap();
        for copy in ["copy1", "copy2"] {
            fs::write(dir.join(copy), vec![0_u8; 1 << 20]).unwrap();
        }
        fs::write(dir.join("fw_env.config"), format!("{} 0x0 0x4000\n", dir.join("env").display())).unwrap();
        fs::write(dir.join("env"), vec![0; 0x4000]).unwrap();
        fs::write(dir.join("default"), "ustate=0\n").unwrap();
        let [config, default] = ["fw_env.config", "default"].map(|name| dir.join(name).display().to_string());
        // As SWUpdate leaves it once it has installed.
        tool(&["fw_setenv", "-c", &config, "-f", &default, "ustate", "1"]);
        let log = fs::File::create(dir.join("daemon.log")).unwrap();
        let daemon = Command::new("swupdate")
            .args(["-l", "5", "-H", "press-4:1", "-e", "stable,copy2", "-k"])
            .arg(dir.join("us.pem"))
            .env("TMPDIR", dir.join("tmp"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn();
        let machine = Self { daemon: daemon.expect("`cargo xtask test` installs SWUpdate"), dir: temp };
        let began = Instant::now();
        while !machine.dir.path().join("tmp/sockinstctrl").exists() {
            assert!(began.elapsed() < Duration::from_secs(20), "the daemon does not come: {}", machine.log());
            sleep(Duration::from_millis(20));
        }
        machine
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("daemon.log")).unwrap_or_default()
    }

    /// The installer as it comes, with this machine's sockets and environment.
    fn installer(&self) -> CommandInstaller {
        let mut plan = CommandPlan::swupdate();
        plan.reboot = Some(Program::new(&["true"], 5));
        // The kernel's command line is that of the machine that the tests run on.
        plan.booted = Some(shell(self.dir.path(), "cat $1/booted", &[]));
        let sockets = format!("TMPDIR={}", self.dir.path().join("tmp").display());
        drop(plan.install.argv.splice(0..0, ["env".to_owned(), sockets]));
        let config = self.dir.path().join("fw_env.config").display().to_string();
        for program in [&mut plan.confirm, &mut plan.roll_back, &mut plan.abandon].into_iter().flatten() {
            drop(program.argv.splice(1..1, ["-c".to_owned(), config.clone()]));
        }
        installer(self.dir.path(), plan)
    }

    /// A file for SWUpdate with this image, for this revision of the hardware.
    fn software(&self, signer: &str, revision: &str, image: &[u8]) -> Whole {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let sha256 = envelope::sha256(image);
        let copies = ["copy1", "copy2"].map(|copy| {
            let device = path(copy);
            format!(
                "{copy}: {{ images: ({{ filename = \"image.bin\"; type = \"raw\"; \
                 device = \"{device}\"; sha256 = \"{sha256}\"; }}); }};\n"
            )
        });
        let description = format!(
            "software = {{ version = \"2.0.0\"; hardware-compatibility: [ \"{revision}\" ];\n\
             stable = {{ {} }}; }}\n",
            copies.concat()
        );
        let [to_sign, signed] = ["sw-description", "sig"].map(path);
        let [cert, key] = ["pem", "key"].map(|ending| path(&format!("{signer}.{ending}")));
        fs::write(&to_sign, &description).unwrap();
        let sign = ["openssl", "cms", "-sign", "-binary", "-nosmimecap", "-outform", "DER"];
        let by = ["-in", &to_sign, "-out", &signed, "-signer", &cert, "-inkey", &key];
        tool(&[&sign[..], &by].concat());
        let signature = fs::read(signed).unwrap();
        let description = description.as_bytes();
        let files = [
            ("sw-description", description),
            ("sw-description.sig", signature.as_slice()),
            ("image.bin", image),
        ];
        Whole(cpio(&files), 0)
    }

    fn ustate(&self) -> String {
        let config = self.dir.path().join("fw_env.config").display().to_string();
        tool(&["fw_printenv", "-c", &config, "ustate"]).trim().to_owned()
    }

    fn copy(&self, number: usize) -> Vec<u8> {
        fs::read(self.dir.path().join(format!("copy{number}"))).unwrap()
    }

    async fn about_to_try(&self) -> CommandInstaller {
        fs::write(self.dir.path().join("booted"), "root=copy1").unwrap();
        let mut installer = self.installer();
        let image = vec![7; 20_000];
        installer.install(&artifact(), &mut self.software("us", "1", &image)).await.unwrap();
        assert!(self.copy(2).starts_with(&image) && self.copy(1)[0] == 0, "into the copy that was selected");
        assert_eq!(installer.start_trial(&artifact()).await.unwrap(), Boot::Restarting);
        installer
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// The archive that SWUpdate reads: cpio's "new ASCII format" with checksums.
fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (name, content)) in files.iter().chain([&("TRAILER!!!", &[][..])]).enumerate() {
        let sum: usize = content.iter().map(|byte| usize::from(*byte)).sum();
        archive.extend_from_slice(b"070702");
        for field in [number, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, sum] {
            archive.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        archive.extend_from_slice(name.as_bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive.resize(archive.len().next_multiple_of(512), 0);
    archive
}

#[tokio::test]
async fn swupdate_itself_installs_a_file_that_boots_on_trial_and_is_kept() {
    let machine = Machine::new();
    let mut installer = machine.about_to_try().await;
    boot(machine.dir.path(), "root=copy2");
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::Running);
    installer.confirm(&artifact()).await.unwrap();
    assert_eq!(machine.ustate(), "ustate=0");
}

#[tokio::test]
async fn software_that_is_given_up_is_marked_as_failed_where_swupdate_itself_looks() {
    let machine = Machine::new();
    let mut installer = machine.about_to_try().await;
    boot(machine.dir.path(), "root=copy2");
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Restarting);
    assert_eq!(machine.ustate(), "ustate=3");
    boot(machine.dir.path(), "root=copy1");
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::FellBack);
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Running);
    assert_eq!(machine.ustate(), "ustate=0");
}

#[tokio::test]
async fn swupdate_itself_refuses_other_signers_altered_images_and_other_hardware() {
    let machine = Machine::new();
    let mut installer = machine.installer();
    let mut altered = machine.software("us", "1", &[7; 20_000]);
    let at = altered.0.windows(100).position(|window| window == [7; 100]).unwrap();
    altered.0[at + 50] ^= 1;
    for (mut software, why) in [
        (machine.software("others", "1", &[7; 20_000]), "ignature"),
        (machine.software("us", "9", &[7; 20_000]), "not compatible with hardware"),
        (altered, "HASH mismatch"),
    ] {
        refusal(installer.install(&artifact(), &mut software).await);
        assert!(machine.log().contains(why), "`{why}` in {}", machine.log());
        assert_eq!(machine.copy(2), vec![0_u8; 1 << 20], "nothing was written");
    }
}
