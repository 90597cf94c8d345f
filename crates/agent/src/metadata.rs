//! The fleet's metadata, fetched from the backend and believed only as far as it is signed.

use envelope::{
    TargetBytes, TrustKeys, Verified,
    device::{Basis, Refusal},
    tuf::{Client, Fetched, Need, TRUST_KEYS_TARGET, TargetsView},
};
use model::TargetName;
use protocol::{Base64, device::path};

use crate::{Device, Error, http::Http};

/// The longest set of trusted keys that is read, in bytes.
const MAX_TRUST_KEYS: u64 = 1 << 20;

impl Device {
    /// Refreshes the metadata. What was accepted is durable, also if a later file is refused.
    pub(crate) async fn refresh(&mut self) -> Result<(), Error> {
        self.basis = None;
        let mut client = Client::new(self.trusted.clone(), self.time().latest());
        let fetched = fetch(&mut client, &mut self.http).await;
        if client.state().generation() > self.trusted.generation() {
            let state = client.state().clone();
            self.trusted_copies
                .store(&mut *self.parts.storage, &state.to_bytes())
                .map_err(Error::storage("store the metadata"))?;
            self.floor.raise(state.time_floor());
            self.trusted = state;
        }
        fetched?;
        let targets = client.targets()?;
        let keys = self.trust_keys(&targets).await?;
        let basis = Basis::new(targets, &keys).map_err(|refusal| untrusted(&refusal))?;
        self.trust_keys = Some(keys);
        self.adopt_roots(basis.keys())?;
        self.basis = Some(basis);
        Ok(())
    }

    /// The targets and keys in force, refreshed unless they are at hand.
    pub(crate) async fn ensure_basis(&mut self) -> Result<(), Error> {
        let now = self.time().latest();
        match &self.basis {
            Some(basis) if basis.targets().expires() > now => Ok(()),
            Some(_) | None => self.refresh().await,
        }
    }

    async fn trust_keys(&mut self, targets: &Verified<TargetsView>) -> Result<Verified<TargetBytes>, Error> {
        let name: TargetName = TRUST_KEYS_TARGET.parse().expect("a target name");
        let target = targets.target(&name).ok_or_else(|| untrusted(&Refusal::TrustKeysMismatch))?;
        let known = self.trust_keys.as_ref().filter(|keys| target.verify(keys.as_bytes().to_vec()).is_ok());
        if let Some(known) = known {
            return Ok(known.clone());
        }
        if target.length() > MAX_TRUST_KEYS {
            return Err(untrusted(&Refusal::TrustKeysMalformed));
        }
        let path = format!("{}{}", path::TUF, target.path());
        let max = usize::try_from(target.length()).unwrap_or(usize::MAX);
        let keys = self.http.file(&path, max).await?;
        let keys = keys.ok_or_else(|| Error::answer("the backend does not have the trusted keys"))?;
        Ok(target.verify(keys)?)
    }

    /// The X.509 roots that a threshold of release keys names take the place of those known so far.
    fn adopt_roots(&mut self, keys: &Verified<TrustKeys>) -> Result<(), Error> {
        let roots: Vec<Base64> = keys.roots(self.time().latest()).map(|root| Base64(root.to_vec())).collect();
        if roots.is_empty() || roots == self.enrolled.roots {
            return Ok(());
        }
        let mut enrolled = self.enrolled.clone();
        enrolled.roots = roots;
        let endpoint = enrolled.endpoint(&self.keys, self.parts.dial.clone(), self.floor.clone())?;
        enrolled.store(&mut *self.parts.storage)?;
        tracing::info!(roots = enrolled.roots.len(), "the fleet's X.509 roots changed");
        self.enrolled = enrolled;
        // The open connection was judged by the old roots and may serve on; the next is judged anew.
        self.http.redirect(endpoint);
        Ok(())
    }
}

async fn fetch(client: &mut Client, http: &mut Http) -> Result<(), Error> {
    while let Need::Fetch { path, max_bytes } = client.next() {
        let max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let file = http.file(&format!("{}{path}", path::TUF), max).await?;
        client.feed(file.as_deref().map_or(Fetched::NotFound, Fetched::Bytes))?;
    }
    Ok(())
}

fn untrusted(refusal: &Refusal) -> Error {
    Error::Keys { reason: refusal.to_string() }
}
