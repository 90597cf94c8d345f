//! What must be on a machine before anything here builds, runs or is tested.

use anyhow::{Context, Result, bail};

use crate::{process, workspace::Workspace};

/// What the machine is made ready for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Purpose {
    /// Building and running the programs.
    Run,
    /// Building the screens, too.
    Screens,
    /// Building the desktop around them, too.
    Desktop,
    /// Testing them, too.
    Test,
}

/// One thing that is needed.
#[derive(Debug)]
struct Need {
    /// What it is for.
    purpose: Purpose,
    /// What succeeds if it is there.
    probe: &'static [&'static str],
    /// Debian's name of it.
    apt: &'static str,
    /// Fedora's name of it.
    dnf: &'static str,
    /// Homebrew's name of it, or nothing where the system brings it.
    brew: &'static str,
}

/// Headers of the libraries that the desktop's windows are made with. Only Linux asks for them.
const fn library(name: &'static str) -> [&'static str; 3] {
    if cfg!(target_os = "linux") { ["pkg-config", "--exists", name] } else { ["true", "", ""] }
}

/// A C compiler for aws-lc and SQLite, which need neither CMake nor bindgen; for the tests, other
/// people's TLS clients, a token in software and the judges' Python.
const NEEDS: &[Need] = &[
    Need { purpose: Purpose::Run, probe: &["cc", "--version"], apt: "build-essential", dnf: "gcc", brew: "" },
    // npm alone: a Node that is new enough may come from npm itself.
    Need { purpose: Purpose::Screens, probe: &["npm", "--version"], apt: "npm", dnf: "npm", brew: "node" },
    Need {
        purpose: Purpose::Desktop,
        probe: &["sh", "-c", "test $(uname) != Linux || pkg-config --version"],
        apt: "pkg-config",
        dnf: "pkgconf-pkg-config",
        brew: "",
    },
    Need {
        purpose: Purpose::Desktop,
        probe: &library("webkit2gtk-4.1"),
        apt: "libwebkit2gtk-4.1-dev",
        dnf: "webkit2gtk4.1-devel",
        brew: "",
    },
    Need {
        purpose: Purpose::Desktop,
        probe: &library("gtk+-3.0"),
        apt: "libgtk-3-dev",
        dnf: "gtk3-devel",
        brew: "",
    },
    Need {
        purpose: Purpose::Desktop,
        probe: &library("librsvg-2.0"),
        apt: "librsvg2-dev",
        dnf: "librsvg2-devel",
        brew: "",
    },
    Need {
        purpose: Purpose::Desktop,
        probe: &library("ayatana-appindicator3-0.1"),
        apt: "libayatana-appindicator3-dev",
        dnf: "libayatana-appindicator-gtk3-devel",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["python3", "-c", "import venv, ensurepip"],
        apt: "python3-venv",
        dnf: "python3",
        brew: "python",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["chromium", "--version"],
        apt: "chromium",
        dnf: "chromium",
        brew: "chromium",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["openssl", "version"],
        apt: "openssl",
        dnf: "openssl",
        brew: "openssl",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["gnutls-cli", "--version"],
        apt: "gnutls-bin",
        dnf: "gnutls-utils",
        brew: "gnutls",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["softhsm2-util", "--version"],
        apt: "softhsm2",
        dnf: "softhsm",
        brew: "softhsm",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || dbus-run-session --version"],
        apt: "dbus",
        dnf: "dbus-daemon",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || gnome-keyring-daemon --version"],
        apt: "gnome-keyring",
        dnf: "gnome-keyring",
        brew: "",
    },
    // Installers of other people, which the agent drives. `rauc bundle` calls mksquashfs.
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || rauc --version"],
        apt: "rauc",
        dnf: "rauc",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || mksquashfs -version"],
        apt: "squashfs-tools",
        dnf: "squashfs-tools",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || swupdate --version"],
        apt: "swupdate",
        dnf: "swupdate",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || command -v fw_setenv"],
        apt: "libubootenv-tool",
        dnf: "libubootenv",
        brew: "",
    },
    // A clock that is wrong, for the tests of the screens.
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || faketime --version"],
        apt: "faketime",
        dnf: "libfaketime",
        brew: "",
    },
    // The real windows are driven on a display that nobody sees; only WebKitGTK has a driver for them.
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || command -v Xvfb"],
        apt: "xvfb",
        dnf: "xorg-x11-server-Xvfb",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || command -v WebKitWebDriver"],
        apt: "webkit2gtk-driver",
        dnf: "webkit2gtk-driver",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || command -v xdotool"],
        apt: "xdotool",
        dnf: "xdotool",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || command -v import"],
        apt: "imagemagick",
        dnf: "ImageMagick",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || systemd-analyze --version"],
        apt: "systemd",
        dnf: "systemd",
        brew: "",
    },
    // Zephyr's servers, which judge the bench, are 32-bit programs for Linux.
    Need {
        purpose: Purpose::Test,
        probe: &["sh", "-c", "test $(uname) != Linux || test -e /lib/ld-linux.so.2"],
        apt: "libc6-i386",
        dnf: "glibc.i686",
        brew: "",
    },
    Need {
        purpose: Purpose::Test,
        probe: &[
            "sh",
            "-c",
            "test $(uname) != Linux || test -e /usr/lib32/libgcc_s.so.1 -o -e /usr/lib/libgcc_s.so.1",
        ],
        apt: "lib32gcc-s1",
        dnf: "libgcc.i686",
        brew: "",
    },
    // MCUboot's own recovery runs on a Cortex-M3.
    Need {
        purpose: Purpose::Test,
        probe: &["qemu-system-arm", "--version"],
        apt: "qemu-system-arm",
        dnf: "qemu-system-arm-core",
        brew: "qemu",
    },
    Need {
        purpose: Purpose::Test,
        probe: &["dfu-util", "--version"],
        apt: "dfu-util",
        dnf: "dfu-util",
        brew: "dfu-util",
    },
];

/// Makes the machine ready. Where everything is there already, this is quick and changes nothing.
///
/// # Errors
/// The Rust toolchain is too old, or something is missing and cannot be installed from here.
pub(crate) fn ensure(purpose: Purpose, workspace: &Workspace) -> Result<()> {
    toolchain(workspace)?;
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| need.purpose <= purpose && !present(need)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !process::succeeds("apt-get", &["--version"]) {
        bail!("something is missing; install it with `{}`, then try again", advice(&missing));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.apt).collect();
    eprintln!("installing {}", packages.join(", "));
    apt_get(&["update", "--quiet=2"])?;
    apt_get(&[&["install", "--yes", "--quiet=2", "--no-install-recommends"][..], &packages].concat())?;
    match missing.iter().find(|need| !present(need)) {
        Some(need) => bail!("`{}` was installed, and `{}` still fails", need.apt, need.probe.join(" ")),
        None => Ok(()),
    }
}

/// Refuses a compiler that is older than the workspace says it needs.
fn toolchain(workspace: &Workspace) -> Result<()> {
    let needed = workspace
        .packages
        .iter()
        .find_map(|package| package.rust_version.as_deref())
        .context("no crate says which Rust it needs")?;
    let mut rustc = std::process::Command::new("rustc");
    rustc.arg("--version");
    let found = process::output(rustc).context("Rust is missing: install it with rustup")?;
    let found = found.split_whitespace().nth(1).unwrap_or_default();
    if numbers(found) < numbers(needed) {
        bail!("Rust {found} is too old: Fleetseal needs {needed} or newer; `rustup update` brings it");
    }
    Ok(())
}

/// `1.95.0-nightly` as `[1, 95, 0]`.
pub(crate) fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

fn present(need: &Need) -> bool {
    need.probe.split_first().is_some_and(|(program, args)| process::succeeds(program, args))
}

fn apt_get(args: &[&str]) -> Result<()> {
    let root = process::succeeds("sh", &["-c", "test $(id -u) = 0"]);
    let mut command = std::process::Command::new(if root { "env" } else { "sudo" });
    if !root {
        command.arg("env");
    }
    // Another installation may be under way: wait for it.
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]).args(args);
    // Standard output belongs to the command that is being set up for.
    command.stdout(std::io::stderr());
    process::run(command)
}

/// The command that installs what is missing where there is no apt-get.
fn advice(missing: &[&Need]) -> String {
    if process::succeeds("brew", &["--version"]) {
        let names: Vec<&str> = missing.iter().map(|need| need.brew).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            "xcode-select --install".to_owned()
        } else {
            format!("brew install {}", names.join(" "))
        }
    } else {
        let names: Vec<&str> = missing.iter().map(|need| need.dnf).collect();
        format!("sudo dnf install {}", names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_compared_by_number_not_by_text() {
        assert!(numbers("1.100.0") > numbers("1.95"));
        assert!(numbers("1.94.1") < numbers("1.95"));
        assert_eq!(numbers("1.95.0-nightly"), numbers("1.95"));
    }

    #[test]
    fn running_needs_less_than_testing() {
        let needed = |purpose| NEEDS.iter().filter(|need| need.purpose <= purpose).count();
        assert!(needed(Purpose::Run) < needed(Purpose::Screens));
        assert!(needed(Purpose::Screens) < needed(Purpose::Desktop));
        assert!(needed(Purpose::Desktop) < needed(Purpose::Test));
        assert_eq!(needed(Purpose::Test), NEEDS.len());
    }
}
