//! What to do next about an error that does not say so itself.

use protocol::ErrorCode;

/// The step that most often helps, for errors of this code that name none of their own.
pub fn next_step(code: ErrorCode) -> &'static str {
    use ErrorCode as E;
    match code {
        E::InvalidRequest => "look at what was given; `--help` after the command says what it takes",
        E::InvalidCsr => "have the device make its request anew: `fleetseal-agent enrol` with a new token",
        E::InvalidObject => "have it made and signed anew by whoever handed it over",
        E::InvalidMetadata => {
            "propose it anew on top of what is in force: `fleetseal release repropose RELEASE`"
        }
        E::InvalidArtifact => "compare the file with what was proposed: `fleetseal release show RELEASE`",
        E::UnknownModel => {
            "`fleetseal model list` shows what the fleet knows; add one with `fleetseal model set`"
        }
        E::SlotTooSmall => "make the file smaller, or correct the slot's size with `fleetseal model set`",
        E::VersionNotRising => "choose a higher version; `fleetseal release list` shows those that are out",
        E::CounterFalls => "leave the security counter where it is, or raise it",
        E::InvalidPolicy => "look at the phases with `fleetseal rollout plan`",
        E::TooLarge => "send less at once",
        E::NotFound => "look at the name: `list` in the same area shows what there is",
        E::Conflict => "look at how it stands now (`show` in the same area), then decide again",
        E::PreviewStale => "look at the new preview, then decide again",
        E::PreconditionFailed => "do first what it says, then repeat the command",
        E::Forbidden => {
            "`fleetseal fleet show` says what you are; an admin gives roles with `fleetseal fleet set-role`"
        }
        E::VaultLocked => "unlock the vault: give its passphrase, or hand it in by --passphrase-fd",
        E::WrongPassphrase => "wait, then try again; each wrong try doubles the wait",
        E::VaultUntrusted => {
            "restore a backup with `fleetseal vault restore`, and find out who wrote to the vault's folder"
        }
        E::ThresholdNotMet => {
            "other key holders have yet to sign: `fleetseal request list` shows what waits, and \
             `fleetseal request show REQUEST` for whom"
        }
        E::AlreadySigned => {
            "another key holder has to sign: `fleetseal request show REQUEST` says who is awaited"
        }
        E::OwnProposal => "ask another member to look at it",
        E::OtherContent => "look at what is asked for now (`fleetseal request show REQUEST`), and sign that",
        E::PolicyChanged => {
            "have it proposed anew: `fleetseal release repropose RELEASE`, or the change once more"
        }
        E::RequestExpired => {
            "have it proposed anew: `fleetseal release repropose RELEASE`, or the change once more"
        }
        E::KeyRevoked | E::KeyNotListed => {
            "`fleetseal fleet keys` shows which keys count; an admin changes that with `fleetseal fleet change`"
        }
        E::TokenRefused => {
            "make a new token with `fleetseal device token`, for the serial number on the label"
        }
        E::KeySeen => "wipe the device's data folder, so that it makes keys of its own, and enrol it anew",
        E::SerialTaken => {
            "find out which unit has this serial number: `fleetseal device list --serial SERIAL`"
        }
        E::DeviceUnrecognized => "enrol the device with a new token: `fleetseal device token`",
        E::Revoked => "what is revoked stays so: enrol the device anew, or ask an admin for access",
        E::DeviceCloned => {
            "find out which units share one disk: `fleetseal fleet alarms`, then `fleetseal device clear-cloned`"
        }
        E::DeviceLost => "look at the cable and the power, then at `fleetseal bench doctor`",
        E::LinkGone => {
            "have it made anew: `fleetseal link reissue LINK`; a device gets a fresh one by itself"
        }
        E::RangeUnsatisfiable => "begin the download anew",
        E::StorageFull => "make room on the disk, then repeat it: nothing was lost",
        E::Busy => "wait a moment, then repeat it",
        E::Timeout => "look at the network, then repeat it",
        E::NetworkUnreachable => {
            "look whether the backend runs, whether its address is right, and what stands between"
        }
        E::Untrusted => "do not go on before you know whose backend, or whose file, this is",
        E::Canceled => "nothing was done; repeat it when you are ready",
        E::Refused => {
            "look at what was offered and why it was refused: `fleetseal rollout deployments ROLLOUT`"
        }
        E::LogForked => {
            "somebody cut or rewrote a log, or restored it from a backup: find out who before you go on, and take \
             `fleetseal audit export` and `audit verify` to see where"
        }
        E::BackendRestored => "an admin recovers it with `fleetseal fleet recover-backend`",
        E::Internal => "repeat it; if it comes again, report it with these lines and the backend's log",
        _ => "look at the backend's log, and whether this program is up to date",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_next_step_of_its_own() {
        let unknown = "look at the backend's log, and whether this program is up to date";
        for code in ErrorCode::ALL {
            let step = next_step(*code);
            assert!(!step.is_empty() && step != unknown, "{code} has a step of its own");
        }
    }
}
