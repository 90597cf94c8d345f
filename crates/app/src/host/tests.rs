use std::{collections::BTreeSet, path::Path, sync::Arc};

use protocol::ErrorCode;
use serde_json::{Value, json};

use super::{Host, HostEvent, Window, event::ConnectionState, table};
use crate::{Error, command, command::Way};

const PASSPHRASE: &str = "gravel oboe lantern swift cactus";

async fn host() -> (Arc<Host>, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    (Host::start(home.path()).await.unwrap(), home)
}

/// A host with a workspace for this computer and a vault in it.
async fn with_vault() -> (Arc<Host>, tempfile::TempDir) {
    let (host, home) = host().await;
    host.rpc(Window::Main, "workspace.create", json!({ "name": "works", "kind": "local" })).await.unwrap();
    let create = json!({ "holder": "alice", "passphrase": PASSPHRASE, "light": true });
    host.rpc(Window::Vault, "vault.create", create).await.unwrap();
    (host, home)
}

/// Gives what comes to wait in the vault's window.
async fn give(host: &Host) -> Result<Value, Error> {
    let mut events = host.events();
    loop {
        for event in events.next().await.unwrap() {
            if let HostEvent::Ceremonies { pending } = event
                && let Some(first) = pending.first()
            {
                return host.rpc(Window::Vault, "ceremony.give", json!({ "id": first.id })).await;
            }
        }
    }
}

fn found() -> Value {
    json!({ "organization": "Example Works", "station": "line-1", "cards": [], "threshold": 1 })
}

#[tokio::test]
async fn the_main_window_reaches_no_command_that_carries_a_secret() {
    let (host, _home) = host().await;
    let secret = table::WAYS.iter().chain(command::WAYS).filter(|(_, way)| *way == Way::Secret);
    for (name, _) in secret {
        let refused = host.rpc(Window::Main, name, json!({})).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden, "{name}");
        let refused =
            host.rpc(Window::Main, "job.start", json!({ "command": name, "request": {} })).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden, "{name} as a job");
    }
}

#[test]
fn every_command_with_a_passphrase_in_it_is_for_the_vaults_window() {
    let dir = tempfile::tempdir().unwrap();
    command::export_typescript(dir.path()).unwrap();
    let table = std::fs::read_to_string(dir.path().join("commands.ts")).unwrap();
    let mut secret = Vec::new();
    for (name, way) in table::WAYS.iter().chain(command::WAYS) {
        let row = table.lines().find(|line| line.contains(&format!("{name:?}: {{"))).unwrap();
        let request = row.split_once("request: ").unwrap().1.split_once("; response: ").unwrap().0;
        if names(request).any(|name| reaches(dir.path(), name, "Secret", &mut BTreeSet::new())) {
            assert_eq!(*way, Way::Secret, "{name}");
            secret.push(*name);
        }
    }
    for known in ["vault.create", "vault.unlock", "vault.enter_pin", "vault.restore"] {
        assert!(secret.contains(&known), "{secret:?}");
    }
    // What stands inside of others is found too: in a generic type, in a list, in a field of a field.
    for (file, text) in [
        ("Inner", "import type { Secret } from './Secret';"),
        ("Middle", "import type { Inner } from './Inner';"),
        ("Outer", "import type { Middle } from './Middle';"),
    ] {
        std::fs::write(dir.path().join(format!("{file}.ts")), text).unwrap();
    }
    for request in ["Secret", "Commit<Outer>", "Array<Middle>", "{ [key in string]: Inner } | null"] {
        let mut names = names(request);
        assert!(names.any(|name| reaches(dir.path(), name, "Secret", &mut BTreeSet::new())), "{request}");
    }
    assert!(!names("Commit<Nothing>").any(|name| reaches(dir.path(), name, "Secret", &mut BTreeSet::new())));
}

/// The names in a type.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|name| !name.is_empty())
}

/// Whether a generated type is this one, or is made of it, however deep inside.
fn reaches(dir: &Path, name: &str, wanted: &str, seen: &mut BTreeSet<String>) -> bool {
    if name == wanted {
        return true;
    }
    let Ok(text) = std::fs::read_to_string(dir.join(format!("{name}.ts"))) else { return false };
    if !seen.insert(name.to_owned()) {
        return false;
    }
    let imports = text.lines().filter_map(|line| line.strip_prefix("import type {")?.split_once('}'));
    imports.flat_map(|(imported, _)| names(imported)).any(|name| reaches(dir, name, wanted, seen))
}

#[tokio::test]
async fn a_first_run_on_this_computer_founds_a_fleet_and_finds_it_again() {
    let (host, home) = with_vault().await;
    let (founded, given) = tokio::join!(host.rpc(Window::Main, "backend.found", found()), give(&host));
    given.unwrap();
    assert_eq!(founded.unwrap()["complete"], true);

    let mut events = host.events();
    'online: loop {
        for event in events.next().await.unwrap() {
            if matches!(&event, HostEvent::Connection(way) if way.state == ConnectionState::Online) {
                break 'online;
            }
        }
    }
    let fleet = host.rpc(Window::Main, "fleet.show", json!({})).await.unwrap();
    host.stop().await;
    drop(host);

    let again = Host::start(home.path()).await.unwrap();
    assert_eq!(again.rpc(Window::Main, "fleet.show", json!({})).await.unwrap()["fleet"], fleet["fleet"]);
    again.stop().await;
}

#[tokio::test]
async fn many_commands_at_once_take_no_log_for_a_forked_one() {
    let (host, _home) = with_vault().await;
    let (founded, given) = tokio::join!(host.rpc(Window::Main, "backend.found", found()), give(&host));
    given.unwrap();
    founded.unwrap();
    for round in 0..8 {
        let mut asked = tokio::task::JoinSet::new();
        for number in 0..8 {
            // Each adds to the backend's log between the heads that the others compare.
            let model =
                json!({ "model": format!("m-{round}-{number}"), "hardware_revisions": ["1"], "slots": [] });
            asked.spawn(host.rpc(Window::Main, "model.put", model));
            asked.spawn(host.rpc(Window::Main, "fleet.show", json!({})));
        }
        for answer in asked.join_all().await {
            answer.unwrap();
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn what_is_refused_in_the_vaults_window_is_not_done() {
    let (host, _home) = with_vault().await;
    let refuse = async {
        let mut events = host.events();
        loop {
            for event in events.next().await.unwrap() {
                if let HostEvent::Ceremonies { pending } = event
                    && let Some(first) = pending.first()
                {
                    assert_eq!((first.command.as_str(), first.words.len()), ("backend.found", 8));
                    assert!(first.lines.iter().any(|line| line.value == "Example Works"));
                    return host.rpc(Window::Vault, "ceremony.refuse", json!({ "id": first.id })).await;
                }
            }
        }
    };
    let (founded, refused) = tokio::join!(host.rpc(Window::Main, "backend.found", found()), refuse);
    refused.unwrap();
    assert_eq!(founded.unwrap_err().code(), ErrorCode::Canceled);
    let rows = host.rpc(Window::Main, "workspace.list", json!({})).await.unwrap();
    assert_eq!(rows["rows"][0]["fleet"], Value::Null);
}

#[tokio::test]
async fn a_vault_that_locks_itself_in_a_ceremony_loses_nothing() {
    let (host, _home) = with_vault().await;
    host.rpc(Window::Vault, "vault.lock", json!({})).await.unwrap();
    let decide = async {
        assert_eq!(give(&host).await.unwrap_err().code(), ErrorCode::VaultLocked);
        assert_eq!(host.ceremonies.pending().len(), 1);
        let unlock = json!({ "passphrase": PASSPHRASE });
        host.rpc(Window::Vault, "vault.unlock", unlock).await.unwrap();
        give(&host).await
    };
    let (founded, given) = tokio::join!(host.rpc(Window::Main, "backend.found", found()), decide);
    given.unwrap();
    founded.unwrap();
    host.stop().await;
}

#[tokio::test]
async fn the_vaults_window_asks_for_nothing_and_another_workspace_forgets_what_was_asked() {
    let (host, _home) = with_vault().await;
    let refused = host.rpc(Window::Vault, "backend.found", found()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Forbidden);
    let switch = async {
        let mut events = host.events();
        while host.ceremonies.pending().is_empty() {
            events.next().await.unwrap();
        }
        let other = json!({ "name": "other", "kind": "remote" });
        host.rpc(Window::Main, "workspace.create", other).await.unwrap();
    };
    let (asked, ()) = tokio::join!(host.rpc(Window::Main, "backend.found", found()), switch);
    assert_eq!(asked.unwrap_err().code(), ErrorCode::Canceled);
    assert!(host.ceremonies.pending().is_empty());
}

#[tokio::test]
async fn a_job_waits_for_consent_and_can_be_canceled_there() {
    let (host, _home) = with_vault().await;
    let start = json!({ "command": "backend.found", "request": found() });
    let job = host.rpc(Window::Main, "job.start", start).await.unwrap();
    let mut events = host.events();
    while host.ceremonies.pending().is_empty() {
        events.next().await.unwrap();
    }
    host.rpc(Window::Main, "job.cancel", json!({ "job": job["id"] })).await.unwrap();
    'ended: loop {
        for event in events.next().await.unwrap() {
            if let HostEvent::Job { job } = event
                && job.ended_at.is_some()
            {
                assert_eq!(job.state, super::JobState::Canceled);
                break 'ended;
            }
        }
    }
    assert!(host.ceremonies.pending().is_empty());
}

#[tokio::test]
async fn a_second_desktop_of_one_user_is_refused() {
    let (_first, home) = host().await;
    assert_eq!(Host::start(home.path()).await.unwrap_err().code(), ErrorCode::Conflict);
}

#[tokio::test]
async fn the_training_fleet_has_devices_a_rollout_people_and_boards_on_the_bench() {
    let (host, _home) = host().await;
    host.train(Some(12)).await.unwrap();
    let rows = host.rpc(Window::Main, "workspace.list", json!({})).await.unwrap();
    let names: Vec<_> = rows["rows"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["training-alice", "training-bob", "training-carol", "training-tom"]);
    let fleet = host.rpc(Window::Main, "fleet.show", json!({})).await.unwrap();
    assert_eq!(fleet["devices"]["active"], 14, "two of them on the bench");
    let rollouts = host.rpc(Window::Main, "rollout.list", json!({})).await.unwrap();
    assert_eq!(rollouts["rows"][0]["state"], "running");

    let overview = host.rpc(Window::Main, "fleet.overview", json!({})).await.unwrap();
    assert_eq!(overview["models"][0]["count"], 12);
    let versions = overview["versions"].as_array().unwrap();
    assert_eq!(versions.iter().map(|version| version["count"].as_u64().unwrap()).sum::<u64>(), 12);
    assert_eq!(overview["rollouts"][0]["state"], "running");
    assert_eq!(overview["certificates_expiring"], json!([]));
    let rollout = json!({ "rollout": overview["rollouts"][0]["id"] });
    let live = host.rpc(Window::Main, "rollout.progress", rollout.clone()).await.unwrap();
    assert!(live["progress"]["points"].is_array());
    let rows = host.rpc(Window::Main, "rollout.deployments", rollout).await.unwrap();
    let last = rows["rows"].as_array().unwrap().iter().max_by_key(|row| row["phase"].as_u64()).unwrap();
    let why = host.rpc(Window::Main, "device.why", json!({ "device": last["device"] })).await.unwrap();
    assert!(!why["reasons"].as_array().unwrap().is_empty(), "{why}");

    let switched = host.rpc(Window::Main, "workspace.switch", json!({ "name": "training-carol" })).await;
    assert_eq!(switched.unwrap()["holder"], "carol");

    host.rpc(Window::Main, "workspace.switch", json!({ "name": "training-tom" })).await.unwrap();
    let mut events = host.events();
    let places = loop {
        let places = host.rpc(Window::Main, "bench.places", json!({})).await.unwrap();
        let rows = places["rows"].as_array().unwrap().clone();
        if rows.len() == 3 && rows.iter().all(|place| place["state"] == "recognized") {
            break rows;
        }
        events.next().await.unwrap();
    };
    let of = |serial: &str| {
        let place = places.iter().find(|place| place["inventory"]["hardware_id"] == serial);
        place.unwrap_or_else(|| panic!("{serial} is not on the bench: {places:?}"))
    };
    for serial in ["TRN-B1-000000", "TRN-B2-000000"] {
        assert_eq!(of(serial)["identity"], "proven");
        assert_eq!(of(serial)["offer"]["ticket"]["version"], "1.1.0");
        assert_eq!(
            (&of(serial)["offer"]["ours"], &of(serial)["offer"]["up_to_date"]),
            (&json!(true), &json!(false))
        );
    }
    assert_eq!(of("STRANGER-1")["identity"], "unknown");
    assert!(of("STRANGER-1").get("offer").is_none());
    host.stop().await;
}
