//! What is checked of an artifact before it is proposed: that it is the kind of file that its installer
//! writes and says of itself what is said of it, that its model exists, that it fits, that it rises.

use std::{fs::File, io::Read as _, path::Path};

use envelope::{
    container::Container,
    sha256,
    tuf::{TargetCustom, Targets},
};
use model::{Digest, SecurityCounter, TargetName, Version};
use protocol::{
    ErrorCode,
    operator::{DeviceModel, ReleaseArtifact},
};

use crate::{
    Error,
    dto::{Check, CheckKind, Outcome},
    error::chain,
    release::hash_file,
};

/// Up to this size a file is read whole and looked into.
const LOOKED_INTO: u64 = 512 << 20;

/// What a file is and says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Inspected {
    pub(crate) digest: Digest,
    pub(crate) length: u64,
    kind: Kind,
    version: Option<Version>,
    counter: Option<SecurityCounter>,
    /// What it says that it is compatible with.
    compatible: Vec<String>,
    signed: bool,
    /// Why it is not what it begins as, or was not looked into.
    broken: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Mcuboot,
    Rauc,
    Swu,
    Raw,
    TooLarge,
}

/// What the fleet is known to have.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    pub(crate) targets: &'a Targets,
    /// What was declared of the artifact's model.
    pub(crate) declared: Option<&'a DeviceModel>,
    /// A device of the model is enrolled.
    pub(crate) enrolled: bool,
}

impl Inspected {
    /// Reads a file to be released.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source: std::io::Error| Error::file("read", path, &source);
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length == 0 {
            return Err(Error::new(ErrorCode::InvalidArtifact, format!("`{}` is empty", path.display())));
        }
        if length > LOOKED_INTO {
            let digest = hash_file(&mut file).map_err(|error| error.detail(path.display().to_string()))?;
            return Ok(Self::unread(Kind::TooLarge, digest, length));
        }
        let mut bytes = Vec::new();
        file.take(LOOKED_INTO).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Self::of(&bytes))
    }

    fn of(bytes: &[u8]) -> Self {
        let raw = Self::unread(Kind::Raw, sha256(bytes), bytes.len() as u64);
        match Container::recognise(bytes) {
            Err(source) => Self { broken: Some(chain(&source)), ..raw },
            Ok(Container::Raw) => raw,
            Ok(Container::Mcuboot(image)) => Self {
                kind: Kind::Mcuboot,
                version: Some(image.version()),
                counter: image.security_counter(),
                signed: image.signatures().next().is_some(),
                ..raw
            },
            Ok(Container::Rauc(bundle)) => Self {
                kind: Kind::Rauc,
                compatible: bundle.manifest.and_then(|manifest| manifest.compatible).into_iter().collect(),
                ..raw
            },
            Ok(Container::Swu(image)) => Self {
                kind: Kind::Swu,
                compatible: image.hardware_compatibility(),
                signed: image.is_signed(),
                ..raw
            },
        }
    }

    const fn unread(kind: Kind, digest: Digest, length: u64) -> Self {
        Self {
            digest,
            length,
            kind,
            version: None,
            counter: None,
            compatible: Vec::new(),
            signed: true,
            broken: None,
        }
    }
}

/// Checks one artifact: every check, whether it holds or not.
pub(crate) fn check(
    artifact: &ReleaseArtifact,
    custom: &TargetCustom,
    file: &Inspected,
    known: &Known<'_>,
) -> Vec<Check> {
    let mut checks = vec![container(artifact, file)];
    checks.extend(claims(artifact, file));
    checks.push(model(artifact, known));
    checks.push(fits(artifact, known));
    checks.push(rises(known.targets, &artifact.target, custom).map_or_else(
        |error| failed(artifact, CheckKind::Rises, &error),
        |()| passed(artifact, CheckKind::Rises, "version and security counter rise"),
    ));
    checks
}

/// The first check that failed, as the error that stops a proposal.
pub(crate) fn failure(checks: &[Check]) -> Result<(), Error> {
    match checks.iter().find(|check| check.outcome == Outcome::Failed) {
        None => Ok(()),
        Some(check) => {
            let error = Error::new(check.code.unwrap_or(ErrorCode::InvalidArtifact), check.message.clone());
            let error = error.detail(format!("{}: {}", check.target, check.detail));
            Err(match check.kind {
                CheckKind::Rises => error.hint(
                    "devices never go back: to undo a release, release its predecessor under a higher version",
                ),
                CheckKind::Model => error.hint("declare the model with `fleetseal model set`"),
                CheckKind::Slot => error.hint("make it smaller, or correct the slot with `fleetseal model set`"),
                CheckKind::Container | CheckKind::Claims => {
                    error.hint("build it anew, or correct what is said of it")
                }
            })
        }
    }
}

/// Version and security counter must not fall behind what is already out for this model, component and
/// hardware.
pub(crate) fn rises(targets: &Targets, name: &TargetName, custom: &TargetCustom) -> Result<(), Error> {
    let others = targets.targets.iter().filter(|(other, _)| *other != name);
    let rivals = others.filter_map(|(_, file)| file.custom.as_ref()).filter(|other| {
        other.model == custom.model
            && other.component == custom.component
            && other.release != custom.release
            && other.hardware_revisions.iter().any(|revision| custom.hardware_revisions.contains(revision))
    });
    for other in rivals {
        if other.version >= custom.version {
            return Err(Error::new(ErrorCode::VersionNotRising, "the version does not rise")
                .detail(format!("{} {} is out already", other.component, other.version)));
        }
        if other.security_counter > custom.security_counter {
            return Err(Error::new(ErrorCode::CounterFalls, "the security counter falls")
                .detail(format!("{} has counter {}", other.version, other.security_counter)));
        }
    }
    Ok(())
}

fn container(artifact: &ReleaseArtifact, file: &Inspected) -> Check {
    let wrong = |message: &str, detail: String| {
        failed(
            artifact,
            CheckKind::Container,
            &Error::new(ErrorCode::InvalidArtifact, message).detail(detail),
        )
    };
    if let Some(why) = &file.broken {
        return wrong("the file is not what it begins as", why.clone());
    }
    let wanted = match artifact.installer.as_str() {
        "mcuboot" => Some(Kind::Mcuboot),
        "rauc" => Some(Kind::Rauc),
        "swupdate" => Some(Kind::Swu),
        _ => None,
    };
    if file.kind == Kind::TooLarge {
        return warned(artifact, CheckKind::Container, "the file is too large to be looked into");
    }
    if wanted.is_some_and(|wanted| wanted != file.kind) {
        return wrong(
            "the file is not one that its installer takes",
            format!("{} for `{}`", words(file.kind), artifact.installer),
        );
    }
    passed(artifact, CheckKind::Container, words(file.kind))
}

/// What a file says of itself against what is said of it.
fn claims(artifact: &ReleaseArtifact, file: &Inspected) -> Vec<Check> {
    let wrong = |detail: String| {
        let error = Error::new(ErrorCode::InvalidArtifact, "the file says otherwise than is said of it");
        failed(artifact, CheckKind::Claims, &error.detail(detail))
    };
    let mut checks = Vec::new();
    if let Some(version) = file.version.as_ref().filter(|version| **version != artifact.version) {
        checks.push(wrong(format!("it is version {version}, not {}", artifact.version)));
    }
    match file.counter {
        Some(counter) if counter != artifact.security_counter => {
            checks
                .push(wrong(format!("its security counter is {counter}, not {}", artifact.security_counter)));
        }
        None if file.kind == Kind::Mcuboot && artifact.security_counter != SecurityCounter(0) => {
            checks.push(warned(artifact, CheckKind::Claims, "the image carries no security counter"));
        }
        _ => {}
    }
    let expected = match file.kind {
        Kind::Rauc => vec![artifact.model.to_string()],
        Kind::Swu => artifact.hardware_revisions.iter().map(ToString::to_string).collect(),
        Kind::Mcuboot | Kind::Raw | Kind::TooLarge => Vec::new(),
    };
    if !file.compatible.is_empty() && !expected.iter().all(|name| file.compatible.contains(name)) {
        let said = format!("it says that it is for {}", file.compatible.join(", "));
        checks.push(warned(artifact, CheckKind::Claims, &said));
    }
    if !file.signed {
        checks.push(warned(artifact, CheckKind::Claims, "it carries no signature of its own"));
    }
    checks
}

fn model(artifact: &ReleaseArtifact, known: &Known<'_>) -> Check {
    let wrong = |detail: String| {
        let error = Error::new(ErrorCode::UnknownModel, "the fleet knows no such model or hardware");
        failed(artifact, CheckKind::Model, &error.detail(detail))
    };
    match known.declared {
        None if known.enrolled => {
            warned(artifact, CheckKind::Model, "the model was never declared; a device of it is enrolled")
        }
        None => wrong(format!("{} is neither declared nor enrolled", artifact.model)),
        Some(declared) => {
            let missing =
                |revision: &&model::HardwareRevision| !declared.hardware_revisions.contains(revision);
            match artifact.hardware_revisions.iter().find(missing) {
                Some(revision) => wrong(format!("{} has no hardware revision {revision}", artifact.model)),
                None => passed(artifact, CheckKind::Model, "the model is declared"),
            }
        }
    }
}

fn fits(artifact: &ReleaseArtifact, known: &Known<'_>) -> Check {
    let slots = known.declared.map(|declared| declared.slots.as_slice()).unwrap_or_default();
    match slots.iter().find(|slot| slot.component == artifact.component) {
        None => warned(artifact, CheckKind::Slot, "no slot is declared: whether it fits was not checked"),
        Some(slot) if artifact.length > slot.bytes => {
            let error = Error::new(ErrorCode::SlotTooSmall, "the artifact does not fit its slot");
            let detail = format!("{} bytes for a slot of {}", artifact.length, slot.bytes);
            failed(artifact, CheckKind::Slot, &error.detail(detail))
        }
        Some(slot) => {
            passed(artifact, CheckKind::Slot, &format!("{} of {} bytes", artifact.length, slot.bytes))
        }
    }
}

const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Mcuboot => "an image for MCUboot",
        Kind::Rauc => "a RAUC bundle",
        Kind::Swu => "an archive for SWUpdate",
        Kind::Raw => "a file that is written as it is",
        Kind::TooLarge => "a file that is too large to be looked into",
    }
}

fn passed(artifact: &ReleaseArtifact, kind: CheckKind, message: &str) -> Check {
    plain(artifact, kind, Outcome::Passed, message)
}

fn warned(artifact: &ReleaseArtifact, kind: CheckKind, message: &str) -> Check {
    plain(artifact, kind, Outcome::Warned, message)
}

fn plain(artifact: &ReleaseArtifact, kind: CheckKind, outcome: Outcome, message: &str) -> Check {
    let (target, message) = (artifact.target.clone(), message.to_owned());
    Check { target, kind, outcome, message, detail: String::new(), code: None }
}

fn failed(artifact: &ReleaseArtifact, kind: CheckKind, error: &Error) -> Check {
    let detail = error.body().detail.clone().unwrap_or_default();
    let code = Some(error.code());
    Check { detail, code, ..plain(artifact, kind, Outcome::Failed, &error.to_string()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use envelope::tuf::{Hashes, TargetFile};
    use model::{ReleaseId, UnixTime};
    use protocol::operator::Slot;

    use super::*;

    fn artifact(version: &str, counter: u32, installer: &str) -> ReleaseArtifact {
        ReleaseArtifact {
            target: format!("press-4/main/{version}").parse().unwrap(),
            digest: Digest::new([1; 32]),
            length: 100,
            model: "press-4".parse().unwrap(),
            hardware_revisions: vec!["1".parse().unwrap()],
            component: "main".parse().unwrap(),
            version: version.parse().unwrap(),
            security_counter: SecurityCounter(counter),
            installer: installer.parse().unwrap(),
            requires: BTreeMap::new(),
            must_pass: false,
        }
    }

    fn custom(artifact: &ReleaseArtifact, release: u8) -> TargetCustom {
        backend::target_custom(artifact, ReleaseId::new([release; 16]))
    }

    fn published(artifact: &ReleaseArtifact) -> Targets {
        let mut targets = Targets::new(UnixTime::from_secs(1_000));
        let file = TargetFile {
            length: artifact.length,
            hashes: Hashes { sha256: artifact.digest },
            custom: Some(custom(artifact, 1)),
        };
        targets.targets.insert(artifact.target.clone(), file);
        targets
    }

    fn declared(bytes: u64) -> DeviceModel {
        DeviceModel {
            model: "press-4".parse().unwrap(),
            hardware_revisions: vec!["1".parse().unwrap()],
            slots: vec![Slot { component: "main".parse().unwrap(), bytes }],
        }
    }

    fn code_of(artifact: &ReleaseArtifact, bytes: &[u8], model: Option<&DeviceModel>) -> Option<ErrorCode> {
        let targets = published(&super::tests::artifact("1.0.0", 5, "slots"));
        let known = Known { targets: &targets, declared: model, enrolled: false };
        let checks = check(artifact, &custom(artifact, 2), &Inspected::of(bytes), &known);
        failure(&checks).err().map(|error| error.code())
    }

    #[test]
    fn what_holds_passes_and_each_thing_that_does_not_has_its_code() {
        let good = artifact("1.1.0", 5, "slots");
        let model = declared(100);
        assert_eq!(code_of(&good, b"raw", Some(&model)), None);
        assert_eq!(code_of(&good, b"raw", None), Some(ErrorCode::UnknownModel));
        assert_eq!(code_of(&good, b"raw", Some(&declared(99))), Some(ErrorCode::SlotTooSmall));
        let other_hardware = ReleaseArtifact { hardware_revisions: vec!["2".parse().unwrap()], ..good };
        assert_eq!(code_of(&other_hardware, b"raw", Some(&model)), Some(ErrorCode::UnknownModel));
        let same_version = ReleaseArtifact {
            target: "press-4/main/again".parse().unwrap(),
            ..artifact("1.0.0", 5, "slots")
        };
        assert_eq!(code_of(&same_version, b"raw", Some(&model)), Some(ErrorCode::VersionNotRising));
        let weaker = artifact("1.1.0", 4, "slots");
        assert_eq!(code_of(&weaker, b"raw", Some(&model)), Some(ErrorCode::CounterFalls));
        for installer in ["mcuboot", "rauc", "swupdate"] {
            let other = artifact("1.1.0", 5, installer);
            assert_eq!(
                code_of(&other, b"raw", Some(&model)),
                Some(ErrorCode::InvalidArtifact),
                "{installer}"
            );
        }
        let cut = [&0x96f3_b83du32.to_le_bytes()[..], &[0; 8]].concat();
        assert_eq!(
            code_of(&artifact("1.1.0", 5, "slots"), &cut, Some(&model)),
            Some(ErrorCode::InvalidArtifact)
        );
    }

    #[test]
    fn what_was_never_declared_only_warns_once_a_device_is_enrolled() {
        let good = artifact("1.1.0", 5, "slots");
        let targets = published(&artifact("1.0.0", 5, "slots"));
        let known = Known { targets: &targets, declared: None, enrolled: true };
        let checks = check(&good, &custom(&good, 2), &Inspected::of(b"raw"), &known);
        failure(&checks).unwrap();
        let warned: Vec<_> =
            checks.iter().filter(|check| check.outcome == Outcome::Warned).map(|check| check.kind).collect();
        assert_eq!(warned, [CheckKind::Model, CheckKind::Slot]);
    }

    #[test]
    fn artifacts_of_one_release_for_other_hardware_are_no_rivals() {
        let first = artifact("1.1.0", 5, "slots");
        let mut targets = published(&first);
        let mut second = custom(&first, 2);
        second.hardware_revisions = vec!["2".parse().unwrap()];
        let name = "press-4/main/1.1.0/2".parse().unwrap();
        rises(&targets, &name, &second).unwrap();
        second.hardware_revisions = first.hardware_revisions;
        assert_eq!(rises(&targets, &name, &second).unwrap_err().code(), ErrorCode::VersionNotRising);
        targets.targets.clear();
        rises(&targets, &name, &second).unwrap();
    }
}
