use std::path::PathBuf;

use app::{
    Error,
    command::{
        FleetAddPerson, FleetAlarms, FleetConfirmJump, FleetFound, FleetJoin, FleetPeople,
        FleetRecoverBackend, FleetRecoverBackendPreview, FleetRemovePerson, FleetShow, FleetSign,
    },
    dto::{AddPerson, Commit, FoundFleet, FoundingFile, FoundingStatus, Nothing, PageRequest, RemovePerson},
    model::{Role, SpkiDigest, StationName},
};
use clap::Subcommand;

use crate::{Session, output::table};

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
        /// How many key holders must sign: at least two, unless you are alone
        #[arg(long)]
        threshold: u32,
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
    },
    /// End somebody's membership at once
    RemovePerson {
        /// The key of their certificate, as `people` shows it
        spki: SpkiDigest,
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
                format!(
                    "{}\nyou are: {}\ndevices: {} active, {} online, {} revoked, {} cloned\n\
                     links:   {} open, {} consumed, {} expired, {} reissued, {} revoked\n\
                     rollouts open: {}; alarms: {}\n\
                     targets version {}, until {}; root version {}, until {}",
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
        Verb::AddPerson { card, roles } => {
            session.unlock().await?;
            let card = app::read_json(&card)?;
            let person = app.run::<FleetAddPerson>(AddPerson { card, roles }).await?;
            output.result(&person, || format!("{} is a member", person.name));
        }
        Verb::RemovePerson { spki } => {
            let done = app.run::<FleetRemovePerson>(RemovePerson { spki }).await?;
            output.result(&done, || "removed".to_owned());
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
                    vec![row.at.to_string(), format!("{:?}", row.kind), device, row.detail.clone()]
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
                    "recovered: {} links and {} tokens dropped, {} devices and {} people revoked again",
                    done.links, done.tokens, done.devices, done.people
                )
            });
        }
    }
    Ok(())
}

fn describe(status: &FoundingStatus) -> String {
    let signed: Vec<_> = status.signed_by.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{}\nsigned by {} of {}: {}\nroot digest, to compare by voice: {}\n",
        status.fleet,
        signed.len(),
        status.threshold,
        signed.join(", "),
        status.root_digest,
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
