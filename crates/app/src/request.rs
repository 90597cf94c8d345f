//! Requests for signatures: shown as they are, signed in one's own vault, carried as files where there
//! is no network.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use envelope::{
    Signer as _,
    request::{Checked, Given, Proposed, Request, RequestSignature},
    tuf::{self, Root, Signed, Targets},
};
use model::{Digest, RequestId};
use protocol::{
    Base64, ErrorCode,
    operator::{AddSignature, NewRequest, Page, Purpose, RequestFile, RequestState, SignatureRequest, path},
};
use vault::{KeyRole, Vault};

use crate::{
    App, Error,
    command::{
        Handle, ReleaseShow, RequestAddSignature, RequestClose, RequestExport, RequestList, RequestPublish,
        RequestRead, RequestRenew, RequestShow, RequestSign, RequestSignFile,
    },
    dto::{
        AddSignatureFile, ExportRequest, Nothing, ReleaseName, Reported, RequestFileName, RequestName,
        SignRequest, SignRequestFile, SignatureFile, Statement,
    },
    purpose::{check_purpose, purpose_of},
    release::current,
    statement::statement,
    trust::untrusted,
    vaults::blocking,
    words::{digest_words, qr_svg, qr_text},
    workspace::replace,
};

impl Handle<RequestList> for App {
    async fn handle(&self, _: Nothing) -> Result<Page<SignatureRequest>, Error> {
        let rows = self.session().await?.client.get(path::REQUESTS).await?;
        Ok(Page { rows, next: None })
    }
}

impl Handle<RequestShow> for App {
    async fn handle(&self, request: RequestName) -> Result<Statement, Error> {
        let (reported, request, checked) = self.fetch(request.request).await?;
        self.state(&request, &checked, Some(&reported))
    }
}

impl Handle<RequestSign> for App {
    async fn handle(&self, asked: SignRequest) -> Result<SignatureRequest, Error> {
        let (reported, request, checked) = self.fetch(asked.request).await?;
        check_purpose(reported.purpose, asked.release, &checked)?;
        let given = self.sign(&request, checked, asked.digest).await?;
        self.hand_in(request.id, asked.digest, &given).await
    }
}

impl Handle<RequestExport> for App {
    async fn handle(&self, request: ExportRequest) -> Result<Statement, Error> {
        let (reported, asked, checked) = self.fetch(request.request).await?;
        let statement = self.state(&asked, &checked, Some(&reported))?;
        replace(Path::new(&request.file), &asked.encode()?)?;
        Ok(statement)
    }
}

impl Handle<RequestRead> for App {
    async fn handle(&self, request: RequestFileName) -> Result<Statement, Error> {
        let request = read_request(&request.file)?;
        self.state(&request, &self.check_file(&request)?, None)
    }
}

impl Handle<RequestSignFile> for App {
    async fn handle(&self, asked: SignRequestFile) -> Result<SignatureFile, Error> {
        let request = read_request(&asked.file)?;
        let checked = self.check_file(&request)?;
        purpose_of(&checked)?;
        let given = self.sign(&request, checked, asked.digest).await?;
        let (key_id, digest) = (given.key.as_str().to_owned(), asked.digest);
        let signature =
            RequestSignature { fleet: request.fleet, request: request.id, digest, given }.encode();
        replace(Path::new(&asked.out), &signature)?;
        let text = URL_SAFE_NO_PAD.encode(&signature);
        Ok(SignatureFile {
            request: request.id,
            digest,
            words: digest_words(&digest).map(str::to_owned).to_vec(),
            key_id,
            file: asked.out,
            qr_svg: qr_svg(&text)?,
            qr_text: qr_text(&text)?,
            text,
        })
    }
}

impl Handle<RequestAddSignature> for App {
    async fn handle(&self, request: AddSignatureFile) -> Result<SignatureRequest, Error> {
        let bytes = match (&request.file, &request.text) {
            (Some(file), None) => read(file)?,
            (None, Some(text)) => URL_SAFE_NO_PAD.decode(text.trim()).map_err(|source| {
                Error::because(
                    ErrorCode::InvalidObject,
                    "this is not what a signature's QR code says",
                    source,
                )
            })?,
            _ => {
                return Err(Error::new(
                    ErrorCode::InvalidRequest,
                    "give either a file or the text of a QR code",
                ));
            }
        };
        let signature = RequestSignature::parse(&bytes)?;
        if signature.fleet != self.session().await?.membership.fleet {
            return Err(Error::new(ErrorCode::OtherContent, "the signature is of another fleet"));
        }
        self.hand_in(signature.request, signature.digest, &signature.given).await
    }
}

impl Handle<RequestPublish> for App {
    async fn handle(&self, request: RequestName) -> Result<SignatureRequest, Error> {
        self.session().await?.client.post(&path::publish_request(request.request), &()).await
    }
}

impl Handle<RequestClose> for App {
    async fn handle(&self, request: RequestName) -> Result<SignatureRequest, Error> {
        self.session().await?.client.post(&path::close_request(request.request), &()).await
    }
}

impl Handle<RequestRenew> for App {
    async fn handle(&self, _: Nothing) -> Result<SignatureRequest, Error> {
        let trust = self.newest_signed().await?;
        let next = Signed::new(current(&trust)?.next(self.now())).map_err(untrusted)?;
        let reason = "the targets metadata lives on".to_owned();
        self.ask(Purpose::Trust, next.signing_bytes().to_vec(), None, reason).await
    }
}

impl App {
    /// Asks the key holders to sign other trust keys or the next root. What was asked for is in force once
    /// enough have signed.
    pub(crate) async fn ask(
        &self,
        purpose: Purpose,
        payload: Vec<u8>,
        trust_keys: Option<Vec<u8>>,
        reason: String,
    ) -> Result<SignatureRequest, Error> {
        let request = NewRequest {
            id: RequestId::random(&mut envelope::SystemRandom),
            purpose,
            payload: Base64(payload),
            trust_keys: trust_keys.map(Base64),
            reason,
            expires_at: None,
        };
        self.session().await?.client.post(path::REQUESTS, &request).await
    }

    /// Signs a release's request as it is.
    pub(crate) async fn sign_release(&self, name: ReleaseName) -> Result<SignatureRequest, Error> {
        let detail = self.run::<ReleaseShow>(name).await?;
        let request = detail.request.ok_or_else(|| {
            Error::new(ErrorCode::PreconditionFailed, "nobody is asked to sign this release")
                .hint("propose it first, with `fleetseal release repropose`")
        })?;
        let shown = self.run::<RequestShow>(RequestName { request: request.id }).await?;
        let release = Some(name.release);
        self.run::<RequestSign>(SignRequest { request: request.id, digest: shown.digest, release }).await
    }

    /// A request as the backend keeps it, checked against what this desktop trusts.
    async fn fetch(&self, id: RequestId) -> Result<(SignatureRequest, Request, Checked), Error> {
        let fetched: RequestFile = self.session().await?.client.get(&path::request(id)).await?;
        let request = Request::parse(&fetched.file)?;
        if request.id != id {
            return Err(Error::new(ErrorCode::Untrusted, "the backend handed out another request"));
        }
        if fetched.request.state == RequestState::Published {
            return Err(Error::new(ErrorCode::Conflict, "what was asked for is in force already"));
        }
        let known = self.newest_signed().await?.state;
        let checked = self.check(&request, known.root(), known.targets())?;
        Ok((fetched.request, request, checked))
    }

    /// Checks a request that came as a file, without asking anybody.
    fn check_file(&self, request: &Request) -> Result<Checked, Error> {
        match self.trusted_state()? {
            Some(known) => self.check(request, known.root(), known.targets()),
            None => {
                let root = Signed::parse(&self.workspace().membership()?.root).map_err(untrusted)?;
                self.check(request, &root, None)
            }
        }
    }

    /// Checks a request, whose metadata in force must not be older than what this workspace has seen.
    fn check(
        &self,
        request: &Request,
        root: &Signed<Root>,
        seen: Option<&Signed<Targets>>,
    ) -> Result<Checked, Error> {
        let checked = request.check(self.workspace().membership()?.fleet, root, self.now())?;
        let (seen, told) = (seen.map_or(0, |seen| seen.signed().version), checked.targets.signed().version);
        if told < seen {
            return Err(Error::new(
                ErrorCode::Untrusted,
                "the request rests on metadata that is out of date",
            )
            .detail(format!("it takes targets version {told} to be in force; version {seen} was"))
            .hint("nothing was signed; ask its author to propose it anew"));
        }
        Ok(checked)
    }

    fn state(
        &self,
        request: &Request,
        checked: &Checked,
        reported: Option<&SignatureRequest>,
    ) -> Result<Statement, Error> {
        let mine = self.vault().map(|vault| my_keys(&vault)).unwrap_or_default();
        let reported = reported.map(|reported| Reported { purpose: reported.purpose, state: reported.state });
        statement(request, checked, &mine, reported)
    }

    /// Signs what was shown, and nothing else.
    async fn sign(&self, request: &Request, checked: Checked, shown: Digest) -> Result<Given, Error> {
        if request.digest() != shown {
            return Err(Error::new(ErrorCode::OtherContent, "this is not what was shown to you")
                .detail(format!("it is {}, and you saw {shown}", request.digest()))
                .hint("look at the request again"));
        }
        let role = match &checked.proposed {
            Proposed::Root(_) => KeyRole::Root,
            Proposed::Targets(_) => KeyRole::Targets,
        };
        let Checked { root, mut proposed, .. } = checked;
        let allowed = proposed.key_holders(root.signed());
        let vault = self.vault()?;
        let (key, key_id) = keys_of(&vault, role)
            .into_iter()
            .rfind(|(_, key_id)| allowed.contains(key_id))
            .ok_or_else(|| {
            Error::new(
                ErrorCode::KeyNotListed,
                format!("your {} key is not one of the fleet's", role.as_str()),
            )
            .hint("an earlier root may have listed it: ask another key holder")
        })?;
        if proposed.signers(root.signed()).contains(&key_id) {
            return Err(Error::new(ErrorCode::AlreadySigned, "you have signed this already; it counts once"));
        }
        let vault = self.unlocked()?;
        let what = format!("{shown} as {} version {}", proposed.role(), proposed.version());
        let intent = vault.intent("request.sign", &request.id.to_string(), &what, self.now());
        let signer = vault.signer(key, intent)?;
        blocking(move || {
            let given = Given { key: key_id, signature: signer.sign(proposed.signing_bytes())? };
            proposed.add(root.signed(), &given)?;
            Ok(given)
        })
        .await
    }

    async fn hand_in(&self, id: RequestId, digest: Digest, given: &Given) -> Result<SignatureRequest, Error> {
        let signature = AddSignature {
            digest,
            key_id: given.key.as_str().to_owned(),
            signature: Base64(given.signature.to_vec()),
        };
        self.session().await?.client.post(&path::signatures(id), &signature).await
    }
}

/// The TUF ids of the vault's keys for root and targets.
fn my_keys(vault: &Vault) -> Vec<tuf::KeyId> {
    [KeyRole::Root, KeyRole::Targets]
        .into_iter()
        .flat_map(|role| keys_of(vault, role))
        .map(|(_, id)| id)
        .collect()
}

fn keys_of(vault: &Vault, role: KeyRole) -> Vec<(vault::KeyId, tuf::KeyId)> {
    let id = |key: vault::KeyInfo| {
        let public: [u8; 32] = key.public.as_slice().try_into().ok()?;
        (key.role == role).then(|| (key.id, tuf::KeyId::of(&public)))
    };
    vault.keys().into_iter().filter_map(id).collect()
}

fn read_request(file: &str) -> Result<Request, Error> {
    Request::parse(&read(file)?).map_err(|source| {
        Error::because(ErrorCode::InvalidRequest, format!("`{file}` is no request for signatures"), source)
            .hint("name what `fleetseal release request` or `request export` wrote")
    })
}

/// Reads a file that somebody handed over, up to the longest request.
fn read(file: &str) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let path = Path::new(file);
    let failed = |source: std::io::Error| Error::file("read", path, &source);
    let mut bytes = Vec::new();
    let longest = Request::MAX as u64 + 1;
    fs::File::open(path).map_err(failed)?.take(longest).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

impl From<envelope::request::Error> for Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is wrong, it is the metadata")]
    fn from(error: envelope::request::Error) -> Self {
        use envelope::request::Error as E;
        let (code, hint) = match error {
            E::Object(error) => return error.into(),
            E::Metadata(error) => return untrusted(error),
            E::Foreign => (ErrorCode::OtherContent, "it belongs into another workspace"),
            E::Lapsed { .. } => (ErrorCode::RequestExpired, "ask its author to propose it anew"),
            E::Stale { .. } => (ErrorCode::Conflict, "ask its author to propose it anew"),
            E::KeyNotListed { .. } => {
                (ErrorCode::KeyNotListed, "only key holders that the root lists can sign")
            }
            E::Signature => (ErrorCode::InvalidObject, "a signature in it was altered: get it anew"),
            E::Spoken { .. } => (ErrorCode::AlreadySigned, "one person is one voice"),
            E::OtherContent => (ErrorCode::OtherContent, "look at the request again"),
            _ => (ErrorCode::InvalidMetadata, "nothing was signed; ask its author what this shall be"),
        };
        Self::because(code, "the request is not to be signed", error).hint(hint)
    }
}
