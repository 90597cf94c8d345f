//! Giving a backend that was restored from a backup what it forgot.

use std::fs;

use envelope::{Recovery, RevocationList, log::LogName};
use protocol::{
    Base64, ErrorCode,
    operator::{Recover, Recovered, RecoveryState, path},
};
use vault::KeyRole;

use crate::{
    App, Error,
    command::{FleetRecoverBackend, FleetRecoverBackendPreview, Handle},
    dto::{Commit, Nothing, Preview},
    release::{effect, expect_same, preview},
    witness::common,
};

impl Handle<FleetRecoverBackendPreview> for App {
    async fn handle(&self, _: Nothing) -> Result<Preview, Error> {
        Ok(self.recovery().await?.0)
    }
}

impl Handle<FleetRecoverBackend> for App {
    async fn handle(&self, request: Commit<Nothing>) -> Result<Recovered, Error> {
        let (now, state, mut gift) = self.recovery().await?;
        expect_same(&now, &request.token)?;
        let vault = self.unlocked()?;
        let lost = state.lost.ok_or_else(nothing_to_recover)?;
        let session = self.session().await?;
        let fleet = session.membership.fleet;
        let statement = Recovery {
            fleet,
            kept: (state.kept.size, state.kept.root),
            lost: (lost.size, lost.root),
            issued_at: self.now(),
        };
        let subject = format!("{fleet} from {} back to {}", lost.size, state.kept.size);
        let intent = vault.intent("fleet.recover_backend", &subject, "", self.now());
        let signed = statement.sign(&vault.signer(vault.key(KeyRole::Grant)?.id, intent)?)?;
        gift.statement = Base64(signed);
        let recovered = session.client.post(path::RECOVERY, &gift).await?;
        self.exchange_heads().await?;
        Ok(recovered)
    }
}

impl App {
    /// What recovering would do, and the very state and gift that this was said of.
    async fn recovery(&self) -> Result<(Preview, RecoveryState, Recover), Error> {
        let (state, gift) = self.gift().await?;
        let (session, vault) = (self.session().await?, self.unlocked()?);
        let log = LogName::backend(session.membership.fleet);
        let kept = (state.kept.size, state.kept.root);
        let (since, _) = common(&session.client, &vault, &log, kept).await?;
        let revoked = self.kept_revocations().map_or(0, |list| list.keys.len() as u64);
        let newer = u64::from(gift.targets.is_some());
        let preview = preview(
            format!(
                "recover the backend: it goes on from {} entries of its log; it once had {}",
                state.kept.size,
                state.lost.map_or(0, |lost| lost.size)
            ),
            vec![
                effect("entries are as your vault cosigned them", since),
                effect("download links are dropped", state.links),
                effect("enrolment tokens are dropped", state.tokens),
                effect("versions of the root are given back", gift.roots.len() as u64),
                effect("newer targets metadata is given back", newer),
                effect("keys are on the revocation list that is given back", revoked),
            ],
            &(state.lost, state.kept, state.root_version, state.targets_version, state.revocation_list),
        );
        Ok((preview, state, gift))
    }

    /// What the backend has, and what this desktop keeps beyond it.
    async fn gift(&self) -> Result<(RecoveryState, Recover), Error> {
        let session = self.session().await?;
        let mut state: RecoveryState = session.client.get(path::RECOVERY).await?;
        if state.lost.is_none() {
            // It may not know yet: the vault shows it what it cosigned.
            match self.exchange_heads().await {
                Err(error) if error.code() == ErrorCode::BackendRestored => {}
                Err(error) => return Err(error),
                Ok(()) => return Err(nothing_to_recover()),
            }
            state = session.client.get(path::RECOVERY).await?;
        }
        let trust = self.kept_trust()?.ok_or_else(|| {
            Error::new(ErrorCode::PreconditionFailed, "this desktop keeps no metadata of the fleet")
                .hint("recover the backend from the workspace of somebody who worked with it before")
        })?;
        let newer = trust.targets.targets_version() > state.targets_version;
        let targets = trust.state.targets().filter(|_| newer).map(|targets| Base64(targets.raw().to_vec()));
        let revocations = self.kept_revocations().filter(|list| list.number >= state.revocation_list);
        let list = revocations.and_then(|_| fs::read(self.workspace().file("revoked.cbor")).ok());
        let gift = Recover {
            statement: Base64::default(),
            roots: self.kept_roots(state.root_version).into_iter().map(Base64).collect(),
            trust_keys: targets.as_ref().and_then(|_| self.kept_trust_keys()).map(Base64),
            targets,
            revocation_list: list.map(Base64),
        };
        Ok((state, gift))
    }

    fn kept_revocations(&self) -> Option<RevocationList> {
        let bytes = fs::read(self.workspace().file("revoked.cbor")).ok()?;
        let (trust, fleet) = (self.kept_trust().ok()??, self.workspace().membership().ok()?.fleet);
        RevocationList::verify(&bytes, fleet, 0, &trust.keys, self.now())
            .ok()
            .map(envelope::Verified::into_inner)
    }
}

fn nothing_to_recover() -> Error {
    Error::new(
        ErrorCode::PreconditionFailed,
        "the backend was not set back: there is nothing to recover from",
    )
}
