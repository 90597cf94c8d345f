//! The people, their vaults, and the backend.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use model::ReleaseId;
use protocol::{
    ErrorCode,
    operator::{ReleaseDetail, Verdict},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    Options, PASSPHRASE,
    rules::{Rule, Rules},
};
use crate::{
    App, Error, Founding, ServerConfig, Shutdown, adopt_fleet,
    command::{
        FleetFound, FleetJoin, FleetSign, ModelPut, ReleasePropose, ReleasePublish, ReleasePublishPreview,
        ReleaseReview, ReleaseSeal, VaultBackup, VaultCard, VaultCreate, VaultTestRestore,
    },
    dto::{
        BackupVault, Commit, CreateVault, DeviceModel, FoundFleet, FoundingFile, Nothing, Opening,
        ProposeArtifact, ProposeRelease, ReleaseName, ReviewRelease, SealRelease, Secret, TestRestore,
    },
    init_backend, serve_on,
    workspace::{read_json, write_json},
};

/// The model of every device of the demo.
pub(crate) const MODEL: &str = "demo-gateway";

pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    pub(crate) config: ServerConfig,
    pub(crate) alice: Arc<App>,
    pub(crate) bob: Arc<App>,
    pub(crate) founding: PathBuf,
    agent: PathBuf,
    server: Option<(Shutdown, JoinHandle<Result<(), Error>>)>,
    /// Goes with the demo, unless the data is kept.
    _temporary: Option<tempfile::TempDir>,
}

type Line<'a> = &'a (dyn Fn(String) + Send + Sync);

impl Stage {
    pub(crate) async fn found(options: &Options, rules: &Rules<'_>, line: Line<'_>) -> Result<Self, Error> {
        let (dir, temporary) = folder(options)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|source| Error::internal("there is no port to listen on", source))?;
        let bind = listener.local_addr().map_err(|source| Error::internal("there is no port", source))?;
        let config = ServerConfig::new(dir.join("backend"), bind, format!("https://{bind}"));
        write_json(&dir.join("backend-identity.json"), &init_backend(&config)?)?;

        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| member(&dir, name));
        let (alice, bob, carol) = tokio::try_join!(alice, bob, carol)?;
        line("Alice, Bob and Carol made their vaults".into());
        for (name, app) in [("bob", &bob), ("carol", &carol)] {
            write_json(&dir.join(format!("{name}.card.json")), &app.run::<VaultCard>(Nothing {}).await?)?;
        }
        let founding = dir.join("founding.json");
        let found = FoundFleet {
            backend: dir.join("backend-identity.json").display().to_string(),
            organization: "Fleetseal Demo".into(),
            station: "line-1".parse().expect("a constant name parses"),
            cards: ["bob", "carol"]
                .map(|name| dir.join(format!("{name}.card.json")).display().to_string())
                .into(),
            threshold: 2,
            file: founding.display().to_string(),
        };
        alice.run::<FleetFound>(found).await?;
        let early: Founding = read_json(&founding)?;
        rules.expect_refusal(
            Rule::R10,
            "found a fleet with one signature of the two that its root asks for",
            early.adopt(),
            &[ErrorCode::ThresholdNotMet],
        );
        let file = FoundingFile { file: founding.display().to_string() };
        let status = bob.run::<FleetSign>(file.clone()).await?;
        carol.run::<FleetJoin>(file.clone()).await?;
        alice.run::<FleetJoin>(file).await?;
        for (name, app) in [("alice", &alice), ("bob", &bob), ("carol", &carol)] {
            back_up(app, &dir.join(format!("{name}.backup"))).await?;
        }
        adopt_fleet(&config, &founding).await?;
        line(format!(
            "{} signed by {} of {} key holders",
            status.fleet,
            status.signed_by.len(),
            status.threshold
        ));

        let mut stage = Self {
            dir,
            config,
            alice: Arc::new(alice),
            bob: Arc::new(bob),
            founding,
            agent: options.agent.clone(),
            server: None,
            _temporary: temporary,
        };
        stage.start(listener);
        line(format!("the backend serves {}", stage.config.origin));
        Ok(stage)
    }

    /// Proposes, reviews, signs, seals and publishes one file.
    pub(crate) async fn release(
        &self,
        file: &Path,
        version: &str,
        rules: &Rules<'_>,
        line: Line<'_>,
    ) -> Result<ReleaseId, Error> {
        self.release_for((MODEL, "slots"), file, version, rules, line).await
    }

    /// As [`Self::release`], for another model and its installer.
    pub(crate) async fn release_for(
        &self,
        (model, installer): (&str, &str),
        file: &Path,
        version: &str,
        rules: &Rules<'_>,
        line: Line<'_>,
    ) -> Result<ReleaseId, Error> {
        let constant = "a constant parses";
        let model = DeviceModel {
            model: model.parse().expect(constant),
            hardware_revisions: vec!["1".parse().expect(constant)],
            slots: Vec::new(),
        };
        let name = model.model.clone();
        self.alice.run::<ModelPut>(model).await?;
        let artifact = ProposeArtifact {
            file: file.display().to_string(),
            model: name,
            hardware_revisions: vec!["1".parse().expect(constant)],
            component: "main".parse().expect(constant),
            version: version.parse().expect("the demo's versions parse"),
            security_counter: model::SecurityCounter(1),
            installer: installer.parse().expect(constant),
            requires: Vec::new(),
            must_pass: false,
        };
        let propose = ProposeRelease {
            version: artifact.version.clone(),
            artifacts: vec![artifact],
            notes: "What the demo rolls out".into(),
            draft: false,
            sign_within: None,
        };
        let release: ReleaseDetail = self.alice.run::<ReleasePropose>(propose).await?;
        let name = ReleaseName { release: release.row.id };
        line(format!(
            "Alice proposed {version}: {} bytes",
            release.artifacts.iter().map(|a| a.length).sum::<u64>()
        ));
        let review = ReviewRelease {
            release: name.release,
            digest: None,
            verdict: Verdict::Approve,
            comment: "looks right".into(),
        };
        self.bob.run::<ReleaseReview>(review).await?;
        let signed = self.alice.sign_release(name).await?;
        line(format!("Bob approved; Alice signed ({} of {})", signed.signatures, signed.threshold));
        let preview = self.alice.run::<ReleasePublishPreview>(name).await?;
        let early = self.alice.run::<ReleasePublish>(Commit { request: name, token: preview.token }).await;
        rules.expect_refusal(
            Rule::R10,
            "publish a release that one of two key holders signed",
            early,
            &[ErrorCode::ThresholdNotMet, ErrorCode::Conflict, ErrorCode::PreconditionFailed],
        );
        self.bob.sign_release(name).await?;
        let seal = SealRelease { release: name.release, file: file.display().to_string(), again: false };
        let sealed = self.alice.run::<ReleaseSeal>(seal).await?;
        let bytes: u64 = sealed.sealed.iter().map(|sealed| sealed.ciphertext_bytes).sum();
        line(format!(
            "Bob signed; sealed once into {bytes} bytes of ciphertext, which is all that the backend has"
        ));
        let preview = self.alice.run::<ReleasePublishPreview>(name).await?;
        self.alice.run::<ReleasePublish>(Commit { request: name, token: preview.token }).await?;
        line(format!("{version} is published"));
        Ok(name.release)
    }

    /// The agent's program.
    pub(crate) fn agent(&self) -> &Path {
        &self.agent
    }

    /// Host and port of the backend.
    pub(crate) fn address(&self) -> String {
        self.config.bind.to_string()
    }

    /// Starts the backend.
    pub(crate) fn start(&mut self, listener: TcpListener) {
        let shutdown = Shutdown::new();
        let (config, told) = (self.config.clone(), shutdown.clone());
        let task = tokio::spawn(async move { serve_on(&config, listener, told).await });
        self.server = Some((shutdown, task));
    }

    /// Ends the backend and waits for it.
    pub(crate) async fn stop(&mut self) -> Result<(), Error> {
        let Some((shutdown, task)) = self.server.take() else { return Ok(()) };
        shutdown.cancel();
        task.await.unwrap_or_else(|source| Err(Error::internal("the backend stopped unexpectedly", source)))
    }

    /// Takes the backend's place once it has ended.
    pub(crate) async fn listen(&self) -> Result<TcpListener, Error> {
        TcpListener::bind(self.config.bind)
            .await
            .map_err(|source| Error::internal("the backend's port is taken", source))
    }

    /// How to go on with what is kept.
    pub(crate) fn next(&self) -> Vec<String> {
        let dir = self.dir.display();
        vec![
            format!(
                "fleetseal serve --data {dir}/backend --origin {} --bind {}",
                self.config.origin, self.config.bind
            ),
            format!("fleetseal --workspace {dir}/alice fleet show"),
            format!("the vaults open with the passphrase: {PASSPHRASE}"),
        ]
    }
}

fn folder(options: &Options) -> Result<(PathBuf, Option<tempfile::TempDir>), Error> {
    let Some(dir) = &options.data else {
        let temporary =
            tempfile::tempdir().map_err(|source| Error::internal("there is no place for a demo", source))?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    if dir.join("founding.json").exists() {
        return Err(Error::new(ErrorCode::Conflict, format!("`{}` holds a demo already", dir.display()))
            .hint(format!(
                "look around in it with `fleetseal --workspace {}/alice`, or choose another folder",
                dir.display()
            )));
    }
    fs::create_dir_all(dir).map_err(|source| Error::file("make the folder", dir, &source))?;
    let dir = dir.canonicalize().map_err(|source| Error::file("use the folder", dir, &source))?;
    Ok((dir, None))
}

/// A person with a vault of their own, and no fleet yet.
pub(crate) async fn member(dir: &Path, name: &str) -> Result<App, Error> {
    let app = App::open(&dir.join(name))?;
    let holder = name.parse().expect("a constant name parses");
    app.run::<VaultCreate>(CreateVault { holder, passphrase: passphrase(), light: true }).await?;
    Ok(app)
}

async fn back_up(app: &App, file: &Path) -> Result<(), Error> {
    let file = file.display().to_string();
    app.run::<VaultBackup>(BackupVault { file: file.clone() }).await?;
    app.run::<VaultTestRestore>(TestRestore { file, passphrase: passphrase(), with: Opening::Passphrase })
        .await?;
    Ok(())
}

fn passphrase() -> Secret {
    Secret::from(PASSPHRASE.to_owned())
}
