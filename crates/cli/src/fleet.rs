use std::path::PathBuf;

use app::{
    Error,
    command::{
        FleetAcknowledgeAlarm, FleetAddPerson, FleetAlarms, FleetConfirmJump, FleetExpiries, FleetFound,
        FleetJoin, FleetKeys, FleetPeople, FleetRecoverBackend, FleetRecoverBackendPreview,
        FleetRemovePerson, FleetRemovePersonPreview, FleetRenewPerson, FleetRenewServer, FleetSetRoles,
        FleetShow, FleetSign,
    },
    dto::{
        AddPerson, AlarmNumber, Commit, ExposedRelease, FoundFleet, FoundingFile, FoundingStatus, Nothing,
        PageRequest, RemovePerson, RenewPerson, SetRoles, Urgency,
    },
    model::{ModelName, Role, SpkiDigest, StationName, UnixTime},
};
use clap::Subcommand;

use crate::{
    Session, change,
    output::{of, table, words},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Found a fleet from your vault; the other key holders then sign the founding file
    Found {
        /// The file that `fleetseal serve --init` wrote
        #[arg(long, value_name = "FILE")]
        backend: PathBuf,
        /// Who runs the fleet, as it will stand in every certificate
        #[arg(long, default_value = "Fleet")]
        organization: String,
        /// The first station: devices' names end in it
        #[arg(long, default_value = "bench")]
        station: StationName,
        /// The card of another key holder; once for each
        #[arg(long = "card", value_name = "FILE")]
        cards: Vec<PathBuf>,
        /// How many key holders must sign [default: more than half: 2 of 3, and 1 only if you are alone]
        #[arg(long)]
        threshold: Option<u32>,
        /// Where to write the founding file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a founding file as one of its key holders, and join the fleet
    Sign {
        /// The founding file
        file: PathBuf,
    },
    /// Join the fleet of a founding file that names you
    Join {
        /// The founding file
        file: PathBuf,
    },
    /// The fleet at a glance
    Show,
    /// Who is a member, with which roles
    People,
    /// Make somebody a member, by their card
    AddPerson {
        /// Their card
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
        /// What they may do; once for each role
        #[arg(long = "role", value_parser = role, required = true)]
        roles: Vec<Role>,
        /// A model that their keys are trusted for; once for each [default: all]
        #[arg(long = "model")]
        models: Vec<ModelName>,
        /// Until when their keys are trusted [default: for good]
        #[arg(long)]
        until: Option<UnixTime>,
        /// Let them sign for root and targets too
        #[arg(long)]
        key_holder: bool,
        /// Where to write the invitation by which they join
        #[arg(long, value_name = "FILE")]
        invitation: PathBuf,
    },
    /// Give a member other roles
    SetRole {
        /// The key of their certificate, as `people` shows it
        spki: SpkiDigest,
        /// What they may do from now on; once for each role
        #[arg(long = "role", value_parser = role, required = true)]
        roles: Vec<Role>,
    },
    /// Give a member a fresh certificate over the key that they have
    RenewPerson {
        /// Their card
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
        /// Where to write the invitation with the certificate
        #[arg(long, value_name = "FILE")]
        invitation: PathBuf,
    },
    /// End somebody's membership at once, and propose to trust their keys no more
    RemovePerson {
        /// The key of their certificate, as `people` shows it
        spki: SpkiDigest,
        /// Why: they left, their laptop is lost
        #[arg(long)]
        reason: String,
    },
    /// Whom the fleet trusts for what
    Keys,
    /// Propose a change of whom the fleet trusts; key holders sign it with `request sign`
    Change {
        /// Why, for those who sign and for the audit trail
        #[arg(long, global = true)]
        reason: Option<String>,
        #[command(subcommand)]
        verb: change::Verb,
    },
    /// What lapses when, soonest first
    Expiries,
    /// Give the backend a fresh certificate over the key that it has
    RenewServer,
    /// Say that you looked at an alarm
    Acknowledge {
        /// Its number, as `alarms` shows it
        number: u64,
    },
    /// After a week or more without a backend: let it sign fresh metadata although its clock jumped
    ConfirmJump,
    /// What somebody must look at
    Alarms,
    /// Give a backend that was restored from a backup what it forgot, so that it serves again
    RecoverBackend,
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::Found { backend, organization, station, cards, threshold, out } => {
            session.unlock().await?;
            let holders = u32::try_from(cards.len()).unwrap_or(u32::MAX).saturating_add(1);
            let threshold = threshold.unwrap_or(holders / 2 + 1);
            let request = FoundFleet {
                backend: backend.display().to_string(),
                organization,
                station,
                cards: cards.iter().map(|card| card.display().to_string()).collect(),
                threshold,
                file: out.display().to_string(),
            };
            let status = app.run::<FleetFound>(request).await?;
            output.result(&status, || describe(&status));
        }
        Verb::Sign { file } => {
            session.unlock().await?;
            let status = app.run::<FleetSign>(FoundingFile { file: file.display().to_string() }).await?;
            output.result(&status, || describe(&status));
        }
        Verb::Join { file } => {
            let status = app.run::<FleetJoin>(FoundingFile { file: file.display().to_string() }).await?;
            output.result(&status, || describe(&status));
        }
        Verb::Show => {
            let fleet = app.run::<FleetShow>(Nothing {}).await?;
            output.result(&fleet, || {
                let roles: Vec<_> = fleet.roles.iter().map(|role| role.as_str()).collect();
                let alone = if fleet.no_separation_of_duties {
                    "\none person alone decides: no separation of duties"
                } else {
                    ""
                };
                format!(
                    "{}\nyou are: {}\ndevices: {} active, {} online, {} revoked, {} cloned\n\
                     links:   {} open, {} consumed, {} expired, {} reissued, {} revoked\n\
                     rollouts open: {}; alarms: {}\n\
                     targets version {}, until {}; root version {}, until {}{alone}",
                    fleet.fleet,
                    roles.join(", "),
                    fleet.devices.active,
                    fleet.devices.online,
                    fleet.devices.revoked,
                    fleet.devices.cloned,
                    fleet.links.open,
                    fleet.links.consumed,
                    fleet.links.expired,
                    fleet.links.reissued,
                    fleet.links.revoked,
                    fleet.open_rollouts,
                    fleet.open_alarms,
                    fleet.targets_version,
                    fleet.targets_expire_at,
                    fleet.root_version,
                    fleet.root_expires_at,
                )
            });
        }
        Verb::People => {
            let people = app.run::<FleetPeople>(Nothing {}).await?;
            output.result(&people, || {
                let mut rows = vec![vec!["name".to_owned(), "roles".to_owned(), "key".to_owned()]];
                rows.extend(people.rows.iter().map(|person| {
                    let roles: Vec<_> = person.roles.iter().map(|role| role.as_str()).collect();
                    vec![person.name.to_string(), roles.join(", "), person.spki.to_string()]
                }));
                table(&rows)
            });
        }
        Verb::AddPerson { card, roles, models, until, key_holder, invitation } => {
            session.unlock().await?;
            let card = app::read_as(&card, "a card of a member, as `fleetseal vault card` writes it")?;
            let invitation = invitation.display().to_string();
            let request = AddPerson { card, roles, models, not_after: until, key_holder, invitation };
            let added = app.run::<FleetAddPerson>(request).await?;
            output.result(&added, || {
                format!(
                    "{} is a member; their keys count once this is signed:\n{}",
                    added.person.name,
                    change::describe(&added.change)
                )
            });
            output.note("next: they join with `fleetseal fleet join INVITATION`");
        }
        Verb::SetRole { spki, roles } => {
            let person = app.run::<FleetSetRoles>(SetRoles { spki, roles }).await?;
            output.result(&person, || {
                let roles: Vec<_> = person.roles.iter().map(|role| role.as_str()).collect();
                format!("{} is {}", person.name, roles.join(", "))
            });
            output.note("keys stay as they are listed: see `fleetseal fleet keys`");
        }
        Verb::RenewPerson { card, invitation } => {
            session.unlock().await?;
            let card = app::read_as(&card, "a card of a member, as `fleetseal vault card` writes it")?;
            let request = RenewPerson { card, invitation: invitation.display().to_string() };
            let person = app.run::<FleetRenewPerson>(request).await?;
            output.result(&person, || format!("{} joins again with the invitation", person.name));
        }
        Verb::RemovePerson { spki, reason } => {
            let request = RemovePerson { spki, reason };
            let preview = app.run::<FleetRemovePersonPreview>(request.clone()).await?;
            session.confirm(&preview)?;
            let removed = app.run::<FleetRemovePerson>(Commit { request, token: preview.token }).await?;
            output.result(&removed, || {
                let mut lines = vec!["their access has ended".to_owned()];
                lines.extend(removed.change.as_ref().map(change::describe));
                lines.extend(removed.exposed.iter().map(exposed));
                lines.join("\n")
            });
        }
        Verb::Keys => {
            let keys = app.run::<FleetKeys>(Nothing {}).await?;
            output.result(&keys, || {
                let mut rows = vec![["for", "holder", "models", "until", "key"].map(str::to_owned).to_vec()];
                rows.extend(keys.keys.iter().map(|key| {
                    let models: Vec<_> = key.models.iter().map(ToString::to_string).collect();
                    vec![
                        key.role.clone(),
                        key.holder.clone(),
                        if models.is_empty() { "all".to_owned() } else { models.join(", ") },
                        key.not_after.map_or_else(String::new, |until| until.to_string()),
                        key.id.clone(),
                    ]
                }));
                format!(
                    "{}{} sign a root, {} a release",
                    table(&rows),
                    keys.root_threshold,
                    keys.targets_threshold
                )
            });
        }
        Verb::Change { reason, verb } => change::run(session, verb, reason).await?,
        Verb::Expiries => {
            let page = app.run::<FleetExpiries>(Nothing {}).await?;
            output.result(&page, || {
                let rows = page.rows.iter().map(|row| {
                    let urgency = match row.urgency {
                        Urgency::Lapsed => "lapsed",
                        Urgency::Urgent => "urgent",
                        Urgency::Soon => "soon",
                        Urgency::Later => "",
                    };
                    vec![
                        row.expires_at.to_string(),
                        urgency.to_owned(),
                        row.what.clone(),
                        if row.urgency == Urgency::Later { String::new() } else { row.remedy.clone() },
                    ]
                });
                table(&rows.collect::<Vec<_>>())
            });
        }
        Verb::RenewServer => {
            session.unlock().await?;
            let done = app.run::<FleetRenewServer>(Nothing {}).await?;
            output.result(&done, || "the backend has a fresh certificate".to_owned());
        }
        Verb::Acknowledge { number } => {
            let done = app.run::<FleetAcknowledgeAlarm>(AlarmNumber { number }).await?;
            output.result(&done, || "noted".to_owned());
        }
        Verb::ConfirmJump => {
            let done = app.run::<FleetConfirmJump>(Nothing {}).await?;
            output.result(&done, || "fresh metadata is signed".to_owned());
        }
        Verb::Alarms => {
            let page = app.run::<FleetAlarms>(PageRequest::default()).await?;
            output.result(&page, || {
                let rows = page.rows.iter().map(|row| {
                    let device = row.device.map_or_else(String::new, |device| device.to_string());
                    let seen = if row.acknowledged { "seen" } else { "open" };
                    vec![
                        row.number.to_string(),
                        row.at.to_string(),
                        seen.to_owned(),
                        words(&format!("{:?}", row.kind)),
                        device,
                        row.detail.clone(),
                    ]
                });
                table(&rows.collect::<Vec<_>>())
            });
        }
        Verb::RecoverBackend => {
            session.unlock().await?;
            let preview = app.run::<FleetRecoverBackendPreview>(Nothing {}).await?;
            session.confirm(&preview)?;
            let commit = Commit { request: Nothing {}, token: preview.token };
            let done = app.run::<FleetRecoverBackend>(commit).await?;
            output.result(&done, || {
                format!(
                    "recovered: {} and {} dropped, {} and {} revoked again",
                    of(done.links, "link"),
                    of(done.tokens, "token"),
                    of(done.devices, "device"),
                    of(done.people, "member"),
                )
            });
        }
    }
    Ok(())
}

fn describe(status: &FoundingStatus) -> String {
    let signed: Vec<_> = status.signed_by.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{}\nsigned by {} of {}: {}\ndigest, to compare by voice: {}\n",
        status.fleet,
        signed.len(),
        status.threshold,
        signed.join(", "),
        status.digest,
    );
    if status.no_separation_of_duties {
        text.push_str("one person alone decides: no separation of duties\n");
    }
    text.push_str(if status.complete {
        "complete: a backend can adopt it"
    } else {
        "the other key holders sign with `fleetseal fleet sign FILE`"
    });
    text
}

fn role(text: &str) -> Result<Role, String> {
    Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!("a role is one of {}", names.join(", "))
    })
}

/// What to do about a release whose content key is in wrong hands.
pub(crate) fn exposed(release: &ExposedRelease) -> String {
    let again =
        format!("seal {} again: `fleetseal release seal {} FILE --again`", release.version, release.release);
    let rollouts: Vec<_> = release.rollouts.iter().map(ToString::to_string).collect();
    if rollouts.is_empty() {
        return again;
    }
    format!("{again}; then abort {} and start anew for the devices that are left", rollouts.join(", "))
}
