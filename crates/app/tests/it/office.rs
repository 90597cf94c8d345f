//! A fleet's people, each with a workspace and a vault, and its backend on loopback.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use app::{App, Error, Founding, command::dispatch, read_json, write_json};
use backend::{Backend, Config};
use model::Seconds;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::FakeClock;
use tokio::{net::TcpListener, task::JoinHandle};

const PASSPHRASE: &str = "fjord lantern cobalt thimble";

/// All of them. Their clock stands still.
pub(crate) struct Office {
    clock: FakeClock,
    people: BTreeMap<String, App>,
    config: Config,
    backend: Option<JoinHandle<()>>,
    dir: TempDir,
}

impl Office {
    /// A backend that made its keys, and nobody yet.
    pub(crate) async fn empty() -> (Self, TcpListener) {
        let dir = tempfile::tempdir().unwrap();
        let clock = FakeClock::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let mut config = Config::new(dir.path().join("backend"), origin);
        config.clock = Arc::new(clock.clone());
        config.tick = Duration::from_millis(20);
        write_json(&dir.path().join("backend.json"), &Backend::init(&config).unwrap()).unwrap();
        (Self { clock, people: BTreeMap::new(), config, backend: None, dir }, listener)
    }

    /// These people found a fleet, of whom so many must sign.
    pub(crate) async fn found(names: &[&str], threshold: u32) -> Self {
        Self::found_and(names, threshold, |_| ()).await
    }

    /// The same, with something done to what the backend keeps before it starts.
    pub(crate) async fn found_and(names: &[&str], threshold: u32, adopted: impl FnOnce(&Self)) -> Self {
        let (mut office, listener) = Self::empty().await;
        for name in names {
            office.newcomer(name).await;
        }
        let (founder, others) = names.split_first().unwrap();
        office.ok(founder, "fleet.found", office.founding(others, threshold)).await;
        for name in others {
            office.ok(name, "fleet.sign", json!({ "file": office.path("founding.json") })).await;
        }
        let founding: Founding = read_json(&office.path("founding.json")).unwrap();
        Backend::adopt(&office.config, &founding.adopt().unwrap()).await.unwrap();
        adopted(&office);
        let backend = Backend::open(office.config.clone()).await.unwrap();
        let shutdown = tokio_util::sync::CancellationToken::new();
        office.backend = Some(tokio::spawn(async move { backend.serve(listener, shutdown).await.unwrap() }));
        office
    }

    /// What the first of them asks for to found the fleet.
    pub(crate) fn founding(&self, others: &[&str], threshold: u32) -> Value {
        let cards: Vec<_> = others.iter().map(|name| self.path(format!("{name}.card"))).collect();
        json!({
            "backend": self.path("backend.json"), "organization": "Example Works", "station": "line-1",
            "cards": cards, "threshold": threshold, "file": self.path("founding.json"),
        })
    }

    /// Somebody with a workspace, a vault and a card.
    pub(crate) async fn newcomer(&mut self, name: &str) {
        let app = App::with_clock(&self.path(name), Arc::new(self.clock.clone())).unwrap();
        self.people.insert(name.to_owned(), app);
        let create = json!({ "holder": name, "passphrase": PASSPHRASE, "light": true });
        self.ok(name, "vault.create", create).await;
        let card = self.ok(name, "vault.card", json!({})).await;
        write_json(&self.path(format!("{name}.card")), &card).unwrap();
    }

    /// Gives somebody's computer a clock of its own, and starts the application there again.
    pub(crate) async fn restart(&mut self, name: &str, clock: &FakeClock) {
        drop(self.people.remove(name));
        let app = App::with_clock(&self.path(name), Arc::new(clock.clone())).unwrap();
        self.people.insert(name.to_owned(), app);
        self.unlock(name).await;
    }

    pub(crate) async fn unlock(&self, name: &str) {
        self.ok(name, "vault.unlock", json!({ "passphrase": PASSPHRASE })).await;
    }

    /// A backup of somebody's vault, and the proof that it can be restored.
    pub(crate) async fn prove_backup(&self, name: &str) {
        let file = self.path(format!("{name}.backup"));
        self.ok(name, "vault.backup", json!({ "file": file })).await;
        self.ok(name, "vault.test_restore", json!({ "file": file, "passphrase": PASSPHRASE })).await;
    }

    /// A release of these bytes, proposed by the first of these people, signed by all of them and published:
    /// its id, and the file.
    pub(crate) async fn publish(&self, names: &[&str], content: &[u8]) -> (Value, PathBuf) {
        let (author, file) = (names[0], self.path("artifact"));
        std::fs::write(&file, content).unwrap();
        let model = json!({ "model": "press-4", "hardware_revisions": ["b"], "slots": [] });
        self.ok(author, "model.put", model).await;
        let artifact = json!({
            "file": file, "model": "press-4", "hardware_revisions": ["b"], "component": "main",
            "version": "1.0.0", "installer": "slots",
        });
        let propose = json!({ "version": "1.0.0", "artifacts": [artifact] });
        let release = self.ok(author, "release.propose", propose).await;
        for name in names {
            self.sign(name, &release["request"]).await.unwrap();
        }
        let name = json!({ "release": release["row"]["id"] });
        let seen = self.ok(author, "release.publish_preview", name.clone()).await;
        let publish = json!({ "request": name, "token": seen["token"] });
        let published = self.ok(author, "release.publish", publish).await;
        assert_eq!(published["row"]["state"], "published", "{published}");
        (release["row"]["id"].clone(), file)
    }

    /// The backend's database, for whoever has its disk.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("backend/store.sqlite")).unwrap()
    }

    pub(crate) fn clock(&self) -> FakeClock {
        self.clock.clone()
    }

    /// What a command of this person's comes to.
    pub(crate) async fn run(&self, name: &str, command: &str, request: Value) -> Result<Value, Error> {
        dispatch(&self.people[name], command, request).await
    }

    /// What a command of this person's answers; it must not fail.
    pub(crate) async fn ok(&self, name: &str, command: &str, request: Value) -> Value {
        let answer = self.run(name, command, request).await;
        answer.unwrap_or_else(|error| panic!("{name} {command}: {:?}", error.body()))
    }

    /// Lets time pass, in one leap: as for a backend that was off.
    pub(crate) fn pass(&self, days: u64) {
        self.clock.advance(Seconds::days(days));
    }

    /// Signs a request, after unlocking.
    pub(crate) async fn sign(&self, name: &str, request: &Value) -> Result<Value, Error> {
        self.unlock(name).await;
        let id = &request["id"];
        let shown = self.run(name, "request.show", json!({ "request": id })).await?;
        self.run(name, "request.sign", json!({ "request": id, "digest": shown["digest"] })).await
    }

    /// Lets all of these sign a request, which is in force then.
    pub(crate) async fn put_into_force(&self, request: &Value, names: &[&str]) {
        let mut state = Value::Null;
        for name in names {
            let signed = self.sign(name, request).await;
            state = signed.unwrap_or_else(|error| panic!("{name}: {:?}", error.body()))["state"].take();
        }
        assert_eq!(state, "published", "{request}");
    }

    /// A change of whom the fleet trusts, drafted; its one request.
    pub(crate) async fn draft(&self, name: &str, edit: Value) -> Value {
        let change = json!({ "edits": [edit], "reason": "because" });
        let mut drafted = self.ok(name, "fleet.draft_change", change).await;
        assert_eq!(drafted["requests"].as_array().map(Vec::len), Some(1), "{drafted}");
        drafted["requests"][0].take()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(backend) = &self.backend {
            backend.abort();
        }
    }
}
