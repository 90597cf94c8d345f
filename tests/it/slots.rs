//! The ways into a vault by command line: a token and a keyring beside a passphrase, with SoftHSM2 as the
//! token and GNOME's keyring.

use std::{os::unix::fs::DirBuilderExt as _, process::Command, time::Duration};

use crate::{
    page::at_home,
    program::{alone, run},
};

/// How long the whole of it may take.
const LONGEST: Duration = Duration::from_secs(120);

/// Starts the keyring, unlocked, and then what is named after it.
const SESSION: &str =
    r#"printf secret | gnome-keyring-daemon --unlock --components=secrets > /dev/null && exec "$@""#;

const SCRIPT: &str = r#"
export SOFTHSM2_CONF=$PWD/softhsm2.conf FLEETSEAL_WORKSPACE=$PWD/ann
mkdir tokens && printf 'directories.tokendir = %s\n' "$PWD/tokens" > "$SOFTHSM2_CONF"
for label in one two; do
    softhsm2-util --init-token --free --label "$label" --pin 48151623 --so-pin 87654321
done
by_passphrase() { fleetseal --passphrase-fd 3 "$@" 3< <(printf 'gravel oboe lantern swift cactus\n'); }
by_keyring() { fleetseal --unlock-with keyring --passphrase-fd 3 "$@" 3< <(printf 'violet anchor pepper tundra spoon\n'); }
by_token() { fleetseal --unlock-with token --pin-fd 4 "$@" 4< <(printf '48151623\n'); }
with_pins() { fleetseal --pin-fd 4 "$@" 4< <(printf '48151623\n48151623\n'); }
refused() {
    if "${@:2}" 2> refusal; then exit 1; fi
    grep -q "($1)" refusal || { cat refusal; exit 1; }
}
serial() { fleetseal vault token list | awk -v label="$1" '$2 == label { print $1 }'; }
slot() { fleetseal vault slot list | awk -v what="$1" '$2 == what || $3 == what { print $1 }'; }

by_passphrase vault create --name ann --light
fleetseal vault token list --module "$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so 2> /dev/null | head -n 1)"
one=$(serial one); two=$(serial two)

# A token opens the vault by itself. Its PIN is asked for once, for the vault and for the keys in it.
by_passphrase --pin-fd 4 vault slot add-token --token "$one" --label desk 4< <(printf '48151623\n')
by_token vault token init-key --role targets --token "$one"
fleetseal vault backup first.backup
by_token vault test-restore first.backup

# A second token beside it: one PIN for the vault, one for the new token. One that nobody gave is no wrong try.
refused invalid_request by_token vault slot add-token --token "$two" --label drawer
with_pins --unlock-with token vault slot add-token --token "$two" --label drawer
refused invalid_request by_token vault test-restore first.backup
grep -q "which token" refusal
refused not_found by_token --pin-token "$two" vault test-restore first.backup
fleetseal vault backup both.backup
by_token --pin-token "$two" vault test-restore both.backup

# A passphrase that opens it together with this computer's keyring alone.
by_passphrase vault slot add-keyring --label laptop --light --new-passphrase-fd 5 5< <(printf 'violet anchor pepper tundra spoon\n')
fleetseal vault backup second.backup
by_keyring vault test-restore second.backup
by_keyring vault passphrase --light --new-passphrase-fd 5 5< <(printf 'saddle comet walnut ribbon glacier\n')
fleetseal vault backup third.backup

# Ways in are taken away, down to the last that one can rely on; the keyring is none, but is asked for first.
by_token --pin-token "$one" --yes vault slot remove "$(slot drawer)"
refused not_found by_token --pin-token "$two" vault test-restore third.backup
by_token --yes vault slot remove "$(slot passphrase)"
fleetseal --passphrase-fd 3 vault test-restore third.backup 3< <(printf 'violet anchor pepper tundra spoon\n')
refused precondition_failed by_token --yes vault slot remove "$(slot desk)"

# The token that opens it is lost: another one takes its place, and what is saved from now on opens with that.
by_keyring --pin-fd 4 vault slot add-token --token "$two" --label spare --replaces "$(slot desk)" 4< <(printf '48151623\n')
refused not_found by_token --pin-token "$one" vault test-restore third.backup
fleetseal vault backup fourth.backup
by_token vault test-restore fourth.backup
by_token --yes vault slot remove "$(slot laptop)"
refused wrong_passphrase fleetseal --pin-fd 4 vault test-restore fourth.backup 4< <(printf '0000\n')
"#;

#[test]
fn a_token_and_a_keyring_open_a_vault_by_command_line() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let session = dir.path().join("session");
    std::fs::DirBuilder::new().mode(0o700).create(&session).expect("a temporary folder can be made");
    let script = dir.path().join("slots.sh");
    std::fs::write(&script, SCRIPT).expect("a temporary file can be written");
    let mut play = Command::new("timeout");
    play.args(["--signal=TERM", &(LONGEST.as_secs() - 10).to_string(), "dbus-run-session", "--"]);
    play.args(["sh", "-c", SESSION, "sh", "bash", "-euxo", "pipefail"]).arg(&script);
    at_home(&mut play, dir.path());
    play.envs([("HOME", dir.path()), ("XDG_DATA_HOME", &session), ("XDG_RUNTIME_DIR", &session)]);
    let answer = run(&mut play, LONGEST);
    assert_eq!(answer.code, Some(0), "{}\n{}", answer.stdout, answer.stderr);
}
