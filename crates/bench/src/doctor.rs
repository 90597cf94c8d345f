//! Looks at this computer before a device is plugged in: may we open its port, does somebody else hold
//! it, will another program talk to it first.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What udev is told by, to be installed as `/etc/udev/rules.d/70-fleetseal.rules`.
pub const UDEV_RULES: &str = include_str!("../udev/70-fleetseal.rules");

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Topic {
    /// Whether there is any port.
    Ports,
    /// Whether a port may be opened.
    Permission,
    /// Whether another program has a port open.
    Busy,
    /// Whether ModemManager talks to devices as they are plugged in.
    ModemManager,
    /// Whether our rules for udev are installed.
    UdevRules,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Works, and may surprise.
    Warning,
    /// Nothing will work until it is seen to.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub topic: Topic,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// What to do; empty where it is fine.
    pub next: String,
}

/// Looks at a system. `root` is `/` but in tests.
#[derive(Clone, Debug)]
pub struct Doctor {
    root: PathBuf,
}

const RULES: &str = "70-fleetseal.rules";
const INSTALL: &str = "fleetseal bench udev-rules | sudo tee /etc/udev/rules.d/70-fleetseal.rules, then \
                       sudo udevadm control --reload && sudo udevadm trigger";

impl Default for Doctor {
    fn default() -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl Doctor {
    /// Looks at another system than this one: the one below `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Everything that stands in the way of these ports, and what does not.
    pub fn look(&self, ports: &[String]) -> Vec<Finding> {
        let mut findings = vec![self.ports(ports)];
        findings.extend(ports.iter().map(|port| self.permission(port)));
        findings.extend(ports.iter().filter_map(|port| self.busy(port)));
        let rules = self.has_rules();
        findings.push(self.modem_manager(rules));
        findings.push(if rules {
            fine(Topic::UdevRules, "the rules for udev are installed")
        } else {
            Finding {
                topic: Topic::UdevRules,
                severity: Severity::Warning,
                what: "the rules for udev are not installed: ports may be closed to you".into(),
                next: INSTALL.into(),
            }
        });
        findings
    }

    fn ports(&self, ports: &[String]) -> Finding {
        if ports.is_empty() {
            return Finding {
                topic: Topic::Ports,
                severity: Severity::Warning,
                what: "no serial port is there".into(),
                next: "plug a device in; if it is, try another cable (many only charge) and another socket"
                    .into(),
            };
        }
        fine(Topic::Ports, &format!("{} serial ports: {}", ports.len(), ports.join(", ")))
    }

    fn permission(&self, port: &str) -> Finding {
        let found = |severity, what: String, next: &str| Finding {
            topic: Topic::Permission,
            severity,
            what,
            next: next.to_owned(),
        };
        match rustix::fs::access(self.path(port), rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)
        {
            Ok(()) => fine(Topic::Permission, &format!("{port} may be opened")),
            Err(error) if error == rustix::io::Errno::NOENT => found(
                Severity::Problem,
                format!("{port} is not there"),
                "plug the device in, or name another port",
            ),
            Err(error) => found(
                Severity::Problem,
                format!("{port} may not be opened: {}", io::Error::from(error)),
                INSTALL,
            ),
        }
    }

    /// Who else has a port open. Of other people's programs the system says nothing.
    fn busy(&self, port: &str) -> Option<Finding> {
        let target = fs::canonicalize(self.path(port)).ok()?;
        let own = std::process::id().to_string();
        let holder = self.processes().find(|process| {
            process.file_name().is_some_and(|name| name.to_string_lossy() != own)
                && fs::read_dir(process.join("fd"))
                    .into_iter()
                    .flatten()
                    .flatten()
                    .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|open| open == target))
        })?;
        let name = fs::read_to_string(holder.join("comm")).unwrap_or_default();
        let number = holder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(Finding {
            topic: Topic::Busy,
            severity: Severity::Problem,
            what: format!("{port} is held by `{}` (process {number})", name.trim()),
            next: format!("close `{}`, then try again", name.trim()),
        })
    }

    fn modem_manager(&self, rules: bool) -> Finding {
        let runs = self.processes().any(|process| {
            fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "ModemManager")
        });
        match (runs, rules) {
            (false, _) => fine(Topic::ModemManager, "ModemManager does not run"),
            (true, true) => fine(Topic::ModemManager, "ModemManager runs, and leaves our ports alone"),
            (true, false) => Finding {
                topic: Topic::ModemManager,
                severity: Severity::Warning,
                what: "ModemManager runs: it talks to every new port for some seconds".into(),
                next: INSTALL.into(),
            },
        }
    }

    fn has_rules(&self) -> bool {
        ["etc/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d"]
            .iter()
            .any(|folder| self.root.join(folder).join(RULES).exists())
    }

    fn processes(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.root.join("proc")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        })
    }

    fn path(&self, port: &str) -> PathBuf {
        self.root.join(port.trim_start_matches('/'))
    }
}

fn fine(topic: Topic, what: &str) -> Finding {
    Finding { topic, severity: Severity::Fine, what: what.to_owned(), next: String::new() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn system() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["dev", "proc/1", "proc/77/fd", "etc/udev/rules.d"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("proc/1/comm"), "init\n").unwrap();
        fs::write(root.path().join("proc/77/comm"), "minicom\n").unwrap();
        fs::write(root.path().join("dev/ttyACM0"), "").unwrap();
        root
    }

    fn look(root: &Path, ports: &[&str]) -> Vec<(Topic, Severity)> {
        let ports: Vec<String> = ports.iter().map(|port| (*port).to_owned()).collect();
        Doctor::at(root).look(&ports).iter().map(|finding| (finding.topic, finding.severity)).collect()
    }

    #[test]
    fn a_port_that_may_be_opened_and_that_nobody_holds_is_fine() {
        let root = system();
        fs::write(root.path().join("etc/udev/rules.d").join(RULES), UDEV_RULES).unwrap();
        let found = look(root.path(), &["/dev/ttyACM0"]);
        assert!(found.iter().all(|(_, severity)| *severity == Severity::Fine), "{found:?}");
    }

    #[test]
    fn a_missing_port_and_one_that_another_program_holds_are_problems_with_a_way_out() {
        let root = system();
        let port = fs::canonicalize(root.path().join("dev/ttyACM0")).unwrap();
        symlink(port, root.path().join("proc/77/fd/3")).unwrap();
        let found = Doctor::at(root.path()).look(&["/dev/ttyACM0".to_owned(), "/dev/ttyUSB9".to_owned()]);
        let busy = found.iter().find(|finding| finding.topic == Topic::Busy).unwrap();
        assert_eq!(
            (busy.severity, busy.next.as_str()),
            (Severity::Problem, "close `minicom`, then try again")
        );
        let missing = found.iter().find(|finding| finding.what == "/dev/ttyUSB9 is not there").unwrap();
        assert_eq!(missing.severity, Severity::Problem);
        assert!(found.iter().all(|f| (f.severity == Severity::Fine) == f.next.is_empty()), "{found:?}");
    }

    #[test]
    fn modem_manager_is_a_warning_until_our_rules_keep_it_off() {
        let root = system();
        fs::write(root.path().join("proc/1/comm"), "ModemManager\n").unwrap();
        let before = look(root.path(), &[]);
        assert!(before.contains(&(Topic::ModemManager, Severity::Warning)), "{before:?}");
        fs::write(root.path().join("etc/udev/rules.d").join(RULES), UDEV_RULES).unwrap();
        let after = look(root.path(), &[]);
        assert!(after.contains(&(Topic::ModemManager, Severity::Fine)), "{after:?}");
    }
}
