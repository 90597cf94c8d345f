//! What a request for signatures is for: read from the very bytes that would be signed, whatever a backend
//! or its author says of it.

use envelope::{
    request::{Checked, Proposed},
    tuf::{TRUST_KEYS_TARGET, TargetFile, Targets},
};
use model::{ReleaseId, TargetName};
use protocol::{ErrorCode, operator::Purpose};

use crate::{Error, check::rises};

/// What a request is for, read from what would be signed: a release adds its own artifacts, which rise above
/// what is out, a withdrawal takes its own away, and other trusted keys change nothing else.
///
/// # Errors
/// It mixes these, or does something else.
pub(crate) fn purpose_of(checked: &Checked) -> Result<Purpose, Error> {
    let Proposed::Targets(next) = &checked.proposed else { return Ok(Purpose::Root) };
    let now = checked.targets.signed();
    let missing = |from: &Targets, to: &Targets| -> Vec<(TargetName, TargetFile)> {
        let gone = from.targets.iter().filter(|(name, file)| to.targets.get(*name) != Some(*file));
        gone.map(|(name, file)| (name.clone(), file.clone())).collect()
    };
    let (added, removed) = (missing(next.signed(), now), missing(now, next.signed()));
    let of_one = |files: &[(TargetName, TargetFile)]| -> Result<ReleaseId, Error> {
        let mut releases = files.iter().map(|(_, file)| file.custom.as_ref().map(|custom| custom.release));
        let first = releases.next().flatten();
        let first = first.filter(|first| releases.all(|release| release == Some(*first)));
        first.ok_or_else(|| mixed("it changes targets of more than one release, or of none"))
    };
    match (&added[..], &removed[..]) {
        ([], []) => Ok(Purpose::Trust),
        ([(name, _)], [_]) if name.as_str() == TRUST_KEYS_TARGET && now.targets.contains_key(name) => {
            Ok(Purpose::Trust)
        }
        (added, []) => {
            let release = of_one(added)?;
            for (name, file) in added {
                file.custom.as_ref().map_or(Ok(()), |custom| rises(now, name, custom))?;
            }
            Ok(Purpose::Release { release })
        }
        ([], removed) => Ok(Purpose::Withdrawal { release: of_one(removed)? }),
        _ => Err(mixed("it adds some targets and takes others away")),
    }
}

/// Refuses a request that is not for what the backend says, or not for the release that is to be signed.
pub(crate) fn check_purpose(
    reported: Purpose,
    meant: Option<ReleaseId>,
    checked: &Checked,
) -> Result<(), Error> {
    let purpose = purpose_of(checked)?;
    if purpose != reported {
        return Err(mixed("the backend says that it is for something else"));
    }
    let of_meant = |meant| match purpose {
        Purpose::Release { release } | Purpose::Withdrawal { release } => release == meant,
        Purpose::Trust | Purpose::Root => false,
    };
    if !meant.is_none_or(of_meant) {
        return Err(mixed("it is not about the release that you asked to sign"));
    }
    Ok(())
}

fn mixed(why: &str) -> Error {
    Error::new(ErrorCode::InvalidMetadata, "the request is not what it says it is").detail(why.to_owned())
}

#[cfg(test)]
mod tests {
    use envelope::{
        Ed25519Key, PublicKey, Signer as _,
        tuf::{Hashes, Role, Root, Signed, TargetCustom},
    };
    use model::{Digest, UnixTime};

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    const MINE: ReleaseId = ReleaseId::new([1; 16]);
    const OTHER: ReleaseId = ReleaseId::new([2; 16]);

    fn artifact(release: ReleaseId, version: &str) -> TargetFile {
        let custom = TargetCustom {
            model: "press-4".parse().unwrap(),
            hardware_revisions: ["1".parse().unwrap()].into(),
            component: "main".parse().unwrap(),
            version: version.parse().unwrap(),
            security_counter: model::SecurityCounter(1),
            installer: "slots".parse().unwrap(),
            release,
            requires: Default::default(),
            must_pass: false,
        };
        let hashes = Hashes { sha256: envelope::sha256(version.as_bytes()) };
        TargetFile { length: 1, hashes, custom: Some(custom) }
    }

    fn keys(content: u8) -> TargetFile {
        TargetFile { length: 1, hashes: Hashes { sha256: Digest::new([content; 32]) }, custom: None }
    }

    fn targets(files: &[(&str, TargetFile)]) -> Targets {
        let mut targets = Targets::new(NOW);
        targets.targets = files.iter().map(|(name, file)| (name.parse().unwrap(), file.clone())).collect();
        targets
    }

    fn asked(now: &[(&str, TargetFile)], next: &[(&str, TargetFile)]) -> Checked {
        let key = Ed25519Key::from_seed(&[1; 32]);
        let PublicKey::Ed25519(public) = key.public_key() else { unreachable!("it is one") };
        let mut root = Root::new(NOW);
        for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
            root.add_key(role, &public);
        }
        Checked {
            root: Signed::new(root).unwrap(),
            targets: Signed::new(targets(now)).unwrap(),
            proposed: Proposed::Targets(Signed::new(targets(next)).unwrap()),
            trust_keys: None,
        }
    }

    #[test]
    fn what_would_be_signed_says_what_it_is_for() {
        let (trust, old, new) =
            ((TRUST_KEYS_TARGET, keys(1)), ("a", artifact(OTHER, "1.0.0")), ("b", artifact(MINE, "1.1.0")));
        let now = [trust.clone(), old.clone()];
        let of = |next: &[_]| purpose_of(&asked(&now, next));
        let all = [trust.clone(), old.clone(), new.clone()];
        assert_eq!(of(&all).unwrap(), Purpose::Release { release: MINE });
        assert_eq!(of(std::slice::from_ref(&trust)).unwrap(), Purpose::Withdrawal { release: OTHER });
        assert_eq!(of(&now).unwrap(), Purpose::Trust);
        assert_eq!(of(&[(TRUST_KEYS_TARGET, keys(2)), old.clone()]).unwrap(), Purpose::Trust);

        let other_keys = (TRUST_KEYS_TARGET, keys(2));
        let altered = ("a", artifact(OTHER, "1.0.1"));
        let third = ("c", artifact(ReleaseId::new([3; 16]), "1.2.0"));
        let of_no_release = ("d", keys(9));
        for (next, why) in [
            (vec![other_keys, old.clone(), new.clone()], "other keys beside a release"),
            (vec![trust.clone(), new.clone()], "one release for another"),
            (vec![trust.clone(), altered], "an artifact that becomes another"),
            (vec![trust.clone(), old.clone(), new.clone(), third], "two releases"),
            (vec![trust.clone(), old.clone(), of_no_release], "a target of no release"),
            (vec![old.clone()], "no trusted keys any more"),
        ] {
            assert_eq!(of(&next).unwrap_err().code(), ErrorCode::InvalidMetadata, "{why}");
        }
        let falls = [trust, old, ("b", artifact(MINE, "0.9.0"))];
        assert_eq!(of(&falls).unwrap_err().code(), ErrorCode::VersionNotRising);
    }

    #[test]
    fn whoever_means_to_sign_a_release_signs_nothing_else_whatever_the_backend_calls_it() {
        let trust = (TRUST_KEYS_TARGET, keys(1));
        let new = ("b", artifact(MINE, "1.1.0"));
        let release = asked(std::slice::from_ref(&trust), &[trust.clone(), new]);
        let other_keys = asked(&[trust], &[(TRUST_KEYS_TARGET, keys(2))]);
        let mine = Purpose::Release { release: MINE };
        let refused = |purpose, meant, checked| {
            check_purpose(purpose, meant, checked).unwrap_err().code() == ErrorCode::InvalidMetadata
        };
        check_purpose(mine, Some(MINE), &release).unwrap();
        check_purpose(mine, None, &release).unwrap();
        check_purpose(Purpose::Trust, None, &other_keys).unwrap();
        assert!(refused(mine, Some(OTHER), &release));
        assert!(refused(Purpose::Trust, Some(MINE), &other_keys), "keys of the backend's own");
        assert!(refused(mine, Some(MINE), &other_keys), "the same under another name");
        assert!(refused(Purpose::Trust, None, &release), "a release that is called something else");
        assert!(refused(Purpose::Withdrawal { release: MINE }, None, &release));
    }
}
