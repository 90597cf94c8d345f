//! Requests for signatures: the one place where signatures over fleet metadata are verified, counted
//! and kept. Releases, withdrawals, other trust keys and the next root all ask through it.

use std::collections::HashMap;

use envelope::{
    request::{self, LONGEST_LIFE, Proposed, Quorum},
    sha256,
    tuf::{KeyId, Role, Root, Signed},
};
use model::{Digest, PersonName, RequestId, Seconds, SpkiDigest, UnixTime};
use protocol::{
    Base64, ErrorCode,
    operator::{AddSignature, Hint, NewRequest, Purpose, RequestState, Signature, SignatureRequest},
};
use serde::{Deserialize, Serialize};
use store::Document;

use crate::{
    metadata::{Publication, TUF_PREFIX},
    refusal::{Answer, Refusal},
    server::{Record, Server},
};

/// How long a request waits for signatures where nobody says.
const LIFE: Seconds = Seconds::days(14);
/// Where requests stand among the store's documents.
const PREFIX: &str = "private/request/";
/// How often a change is tried again that another change overtook.
const TRIES: u32 = 8;
/// How many requests a list holds.
const LISTED: usize = 500;

/// A request as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    #[serde(flatten)]
    pub(crate) purpose: Purpose,
    /// The canonical `signed` part: what is signed.
    pub(crate) payload: Base64,
    trust_keys: Option<Base64>,
    pub(crate) author: SpkiDigest,
    reason: String,
    made_at: UnixTime,
    expires_at: UnixTime,
    /// Whose signatures it takes, as it was when it was asked for.
    policy: Digest,
    closed: bool,
    pub(crate) published: bool,
    given: Vec<Given>,
    revision: u64,
}

/// A signature that verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Given {
    key_id: String,
    signature: Base64,
    by: SpkiDigest,
    at: UnixTime,
}

impl Request {
    /// A request that everything speaks for, not yet kept.
    pub(crate) fn new(server: &Server, author: SpkiDigest, asked: NewRequest) -> Answer<Self> {
        let now = server.now();
        let expires_at = asked.expires_at.unwrap_or_else(|| now + LIFE);
        if expires_at <= now || expires_at.since(now) > LONGEST_LIFE {
            let wrong = "A request waits for signatures at least a moment and at most 60 days.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, wrong));
        }
        let role = role(asked.purpose);
        let proposed = Proposed::parse(role, &asked.payload)?;
        let trust = server.trust();
        let targets = trust.state.targets();
        let targets = targets.ok_or_else(|| Refusal::new(ErrorCode::Internal, "There are no targets."))?;
        proposed.follows(trust.state.root().signed(), targets.signed(), now)?;
        Ok(Self {
            id: asked.id,
            purpose: asked.purpose,
            payload: asked.payload,
            trust_keys: asked.trust_keys,
            author,
            reason: asked.reason,
            made_at: now,
            expires_at,
            policy: policy(trust.state.root().signed(), role),
            closed: false,
            published: false,
            given: Vec::new(),
            revision: 0,
        })
    }

    /// The metadata with the signatures that count by now.
    pub(crate) fn proposed(&self, server: &Server) -> Answer<Proposed> {
        let mut proposed = Proposed::parse(role(self.purpose), &self.payload)?;
        let trust = server.trust();
        for given in &self.given {
            let Ok(signature) = given.signature.0.as_slice().try_into() else { continue };
            let given = request::Given { key: key_id(&given.key_id)?, signature };
            // A key that a newer root no longer lists counts no more.
            proposed.add(trust.state.root().signed(), &given).ok();
        }
        Ok(proposed)
    }

    /// Whether what was asked for is in force: on record, or found there after a crash between publishing it
    /// and writing that down.
    pub(crate) fn in_force(&self, server: &Server) -> bool {
        let trust = server.trust();
        let signed = match role(self.purpose) {
            Role::Root => Some(trust.state.root().signing_bytes()),
            Role::Targets | Role::Snapshot | Role::Timestamp => {
                trust.state.targets().map(Signed::signing_bytes)
            }
        };
        self.published || signed == Some(&self.payload)
    }

    pub(crate) fn is_complete(&self, server: &Server) -> Answer<bool> {
        Ok(self.proposed(server)?.is_complete(server.trust().state.root().signed()))
    }

    /// Whether people may still say something about it, and publish it.
    pub(crate) fn check_open(&self, server: &Server) -> Answer<()> {
        self.check_open_as(server, &self.proposed(server)?)
    }

    /// The same, with the metadata as they were read already.
    fn check_open_as(&self, server: &Server, proposed: &Proposed) -> Answer<()> {
        if self.in_force(server) {
            return Err(Refusal::new(ErrorCode::Conflict, "What was asked for is in force already."));
        }
        if self.closed {
            return Err(Refusal::new(ErrorCode::Conflict, "The request was taken back."));
        }
        let trust = server.trust();
        let root = trust.state.root().signed();
        if server.now() > self.expires_at && !proposed.is_complete(root) {
            let late = Refusal::new(ErrorCode::RequestExpired, "Nobody may sign this request any more.");
            return Err(late.with(&format!("it lapsed at {}", self.expires_at)));
        }
        if self.policy != policy(root, role(self.purpose)) {
            let other = "The keys or the threshold changed since it was asked for.";
            return Err(Refusal::new(ErrorCode::PolicyChanged, other).with("It must be asked for anew."));
        }
        let in_force = match role(self.purpose) {
            Role::Root => root.version,
            Role::Targets | Role::Snapshot | Role::Timestamp => trust.targets.targets_version(),
        };
        if proposed.version() != in_force.saturating_add(1) {
            let late = Refusal::new(ErrorCode::Conflict, "Other metadata was published meanwhile.");
            return Err(late.with(&format!("version {in_force} is in force")));
        }
        Ok(())
    }

    /// Adds a signature, if it counts.
    fn add(&mut self, server: &Server, by: SpkiDigest, signature: &AddSignature) -> Answer<()> {
        let mut proposed = self.proposed(server)?;
        self.check_open_as(server, &proposed)?;
        if signature.digest != sha256(&self.payload) {
            let other = "The signature is over something else than this request asks for.";
            return Err(Refusal::new(ErrorCode::OtherContent, other));
        }
        let wrong = |_| Refusal::new(ErrorCode::InvalidObject, "An Ed25519 signature has 64 bytes.");
        let given = request::Given {
            key: key_id(&signature.key_id)?,
            signature: signature.signature.0.as_slice().try_into().map_err(wrong)?,
        };
        proposed.add(server.trust().state.root().signed(), &given)?;
        let (key_id, signature) = (signature.key_id.clone(), signature.signature.clone());
        self.given.push(Given { key_id, signature, by, at: server.now() });
        Ok(())
    }

    fn state(&self, server: &Server, proposed: &Proposed) -> RequestState {
        if self.in_force(server) {
            RequestState::Published
        } else if self.check_open_as(server, proposed).is_err() {
            RequestState::Closed
        } else if proposed.is_complete(server.trust().state.root().signed()) {
            RequestState::Complete
        } else {
            RequestState::Open
        }
    }

    /// The request as it is told.
    pub(crate) fn row(
        &self,
        server: &Server,
        people: &HashMap<SpkiDigest, PersonName>,
    ) -> Answer<SignatureRequest> {
        let trust = server.trust();
        let root = trust.state.root().signed();
        let proposed = self.proposed(server)?;
        let (quorum, counted) = (proposed.quorum(root), proposed.signers(root));
        let signed_by =
            self.given.iter().filter(|given| counted.iter().any(|key| key.as_str() == given.key_id));
        let by = |given: &Given| {
            let holder = key_id(&given.key_id).ok().and_then(|key| root.holder(&key).cloned());
            holder.unwrap_or_else(|| name_of(people, &given.by))
        };
        Ok(SignatureRequest {
            id: self.id,
            purpose: self.purpose,
            state: self.state(server, &proposed),
            role: proposed.role().as_str().to_owned(),
            version: proposed.version(),
            digest: sha256(&self.payload),
            author: name_of(people, &self.author),
            author_spki: self.author,
            reason: self.reason.clone(),
            made_at: self.made_at,
            expires_at: self.expires_at,
            signatures: quorum.have,
            threshold: quorum.need,
            signed_by: signed_by
                .map(|given| Signature {
                    key_id: given.key_id.clone(),
                    by: by(given),
                    signature: given.signature.clone(),
                    at: given.at,
                })
                .collect(),
            no_separation_of_duties: proposed.no_separation_of_duties(root),
        })
    }

    /// The request as a file that a key holder can check alone.
    pub(crate) async fn file(&self, server: &Server, author: PersonName) -> Answer<Vec<u8>> {
        let trust = server.trust();
        let mut roots = Vec::new();
        for version in 1..=trust.state.root().signed().version {
            roots.extend(document(server, &Role::Root.path(version)).await?);
        }
        let in_force = match (&self.trust_keys, trust.keys_path()) {
            (Some(_), Some(path)) => document(server, &path).await?,
            _ => None,
        };
        let mut signatures = Vec::new();
        for given in &self.given {
            let signature = given.signature.0.as_slice().try_into();
            let signature =
                signature.map_err(|_| Refusal::new(ErrorCode::Internal, "A signature is cut."))?;
            signatures.push(request::Given { key: key_id(&given.key_id)?, signature });
        }
        let file = request::Request {
            fleet: server.fleet().id,
            id: self.id,
            role: role(self.purpose),
            payload: self.payload.0.clone(),
            roots,
            targets: trust.state.targets().map(|targets| targets.raw().to_vec()).unwrap_or_default(),
            trust_keys: self.trust_keys.as_ref().map(|keys| keys.0.clone()),
            trust_keys_in_force: in_force,
            author,
            made_at: self.made_at,
            expires_at: self.expires_at,
            reason: self.reason.clone(),
            signatures,
        };
        Ok(file.encode()?)
    }

    /// What to publish, once the threshold is met.
    pub(crate) fn publication(&self, server: &Server) -> Answer<Publication> {
        let proposed = self.proposed(server)?;
        require(proposed.quorum(server.trust().state.root().signed()))?;
        let raw = proposed.raw().to_vec();
        let trust_keys = self.trust_keys.as_ref().map(|keys| keys.0.clone());
        Ok(match proposed {
            Proposed::Root(_) => Publication { roots: vec![raw], ..Publication::default() },
            Proposed::Targets(_) => Publication { targets: Some(raw), trust_keys, ..Publication::default() },
        })
    }

    async fn save(&mut self, server: &Server) -> store::Result<()> {
        self.revision += 1;
        let bytes = serde_json::to_vec(self).expect("a structure of texts and numbers");
        let document = Document { name: name(self.id), version: self.revision, bytes, at: server.now() };
        server.store.put_documents(vec![document]).await
    }
}

impl Server {
    /// Keeps a request. The same again changes nothing while it is open; otherwise it takes the place of the
    /// earlier, and nobody has signed it yet.
    pub(crate) async fn put_request(&self, mut request: Request) -> Answer<()> {
        if let Some(known) = self.request(request.id).await? {
            if known.payload == request.payload && known.check_open(self).is_ok() {
                return Ok(());
            }
            request.revision = known.revision;
        }
        request.save(self).await?;
        self.hint(Hint::Request { request: request.id });
        Ok(())
    }

    pub(crate) async fn request(&self, id: RequestId) -> Answer<Option<Request>> {
        let unreadable = |_| Refusal::new(ErrorCode::Internal, "The request's record cannot be read.");
        let document = self.store.document(name(id)).await?;
        document.map(|document| serde_json::from_slice(&document.bytes).map_err(unreadable)).transpose()
    }

    /// The newest requests, newest first.
    pub(crate) async fn requests(&self) -> Answer<Vec<Request>> {
        let mut infos = self.store.documents(PREFIX.to_owned()).await?;
        infos.sort_by_key(|info| std::cmp::Reverse(info.at));
        let mut requests = Vec::new();
        for info in infos.into_iter().take(LISTED) {
            let id = info.name.strip_prefix(PREFIX).and_then(|id| id.parse().ok());
            if let Some(id) = id {
                requests.extend(self.request(id).await?);
            }
        }
        requests.sort_by_key(|request| std::cmp::Reverse(request.made_at));
        Ok(requests)
    }

    /// Adds a signature to a request, and gives the request as it is then.
    pub(crate) async fn sign_request(
        &self,
        id: RequestId,
        by: SpkiDigest,
        signature: &AddSignature,
    ) -> Answer<Request> {
        let changed = self.change_request(id, |request| request.add(self, by, signature)).await;
        match changed {
            Err(refusal) if refusal.code() == ErrorCode::KeyNotListed => {
                Err(self.was_listed(&signature.key_id).await?.unwrap_or(refusal))
            }
            other => other,
        }
    }

    /// Lets nobody sign a request any more.
    pub(crate) async fn close_request(&self, id: RequestId) -> Answer<Request> {
        let close = |request: &mut Request| {
            if request.in_force(self) {
                return Err(Refusal::new(ErrorCode::Conflict, "What was asked for is in force already."));
            }
            request.closed = true;
            Ok(())
        };
        self.change_request(id, close).await
    }

    /// Puts into force what enough have signed, and writes that down: again, too, where that failed before.
    pub(crate) async fn put_into_force(&self, request: &Request, entry: Record<'_>) -> Answer<()> {
        if request.published {
            return Ok(());
        }
        let new = if request.in_force(self) {
            None
        } else {
            request.check_open(self)?;
            Some(request.publication(self)?)
        };
        let act = async {
            if let Some(new) = new {
                self.publish(new).await?;
            }
            self.request_published(request.id).await
        };
        self.recorded(entry, act).await.map(drop)
    }

    /// Writes down that what was asked for is in force.
    pub(crate) async fn request_published(&self, id: RequestId) -> Answer<Request> {
        let publish = |request: &mut Request| {
            request.published = true;
            Ok(())
        };
        self.change_request(id, publish).await
    }

    async fn change_request(
        &self,
        id: RequestId,
        change: impl Fn(&mut Request) -> Answer<()>,
    ) -> Answer<Request> {
        for _ in 0..TRIES {
            let mut request = self.request(id).await?.ok_or_else(|| Refusal::not_found("request"))?;
            change(&mut request)?;
            match request.save(self).await {
                // Somebody else changed it meanwhile.
                Err(store::Error::Stale { .. }) => {}
                saved => {
                    saved?;
                    self.hint(Hint::Request { request: id });
                    return Ok(request);
                }
            }
        }
        Err(Refusal::new(ErrorCode::Busy, "Too many people change this request at once."))
    }

    /// Why a key counts no more, if an earlier root of the fleet listed it.
    async fn was_listed(&self, key: &str) -> Answer<Option<Refusal>> {
        for version in 1..self.trust().state.root().signed().version {
            let Some(raw) = document(self, &Role::Root.path(version)).await? else { continue };
            let root = Signed::<Root>::parse(&raw)?;
            if root.signed().keys.keys().any(|known| known.as_str() == key) {
                let revoked = "The key was taken out of the fleet's root: it signs nothing any more.";
                return Ok(Some(Refusal::new(ErrorCode::KeyRevoked, revoked)));
            }
        }
        Ok(None)
    }
}

/// That the threshold is met.
pub(crate) fn require(quorum: Quorum) -> Answer<()> {
    if quorum.have >= quorum.need {
        return Ok(());
    }
    let missing = Refusal::new(ErrorCode::ThresholdNotMet, "Too few key holders have signed.");
    Err(missing.with(&format!("{} of {}", quorum.have, quorum.need)))
}

/// The id of the one request that `what` has.
pub(crate) fn id_of(what: &[&[u8]]) -> RequestId {
    let digest = sha256(&what.concat());
    let (head, _) = digest.as_bytes().split_at(RequestId::LEN);
    RequestId::try_from(head).expect("half a digest is as long as an id")
}

/// Somebody's name; who was removed is still known by their key.
pub(crate) fn name_of(people: &HashMap<SpkiDigest, PersonName>, spki: &SpkiDigest) -> PersonName {
    let unknown = || spki.to_string().parse().expect("64 hexadecimal digits are a name");
    people.get(spki).cloned().unwrap_or_else(unknown)
}

const fn role(purpose: Purpose) -> Role {
    match purpose {
        Purpose::Root => Role::Root,
        Purpose::Release { .. } | Purpose::Withdrawal { .. } | Purpose::Trust => Role::Targets,
    }
}

/// Stands for whose signatures a role takes: its keys, their holders and the threshold.
fn policy(root: &Root, role: Role) -> Digest {
    let keys = &root.role(role).keyids;
    let holders: Vec<_> = keys.iter().map(|key| (key, root.holder(key))).collect();
    sha256(&serde_json::to_vec(&(root.role(role).threshold, holders)).unwrap_or_default())
}

fn key_id(text: &str) -> Answer<KeyId> {
    let wrong = |_| Refusal::new(ErrorCode::InvalidObject, "A TUF key id has 64 hexadecimal digits.");
    text.parse().map(KeyId::from_digest).map_err(wrong)
}

fn name(id: RequestId) -> String {
    format!("{PREFIX}{id}")
}

async fn document(server: &Server, path: &str) -> Answer<Option<Vec<u8>>> {
    Ok(server.store.document(format!("{TUF_PREFIX}{path}")).await?.map(|document| document.bytes))
}
