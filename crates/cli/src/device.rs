use std::path::PathBuf;

use app::{
    Error,
    command::{
        DeviceApprove, DeviceClearCloned, DeviceClearClonedPreview, DeviceEnrolments, DeviceList,
        DeviceReplace, DeviceReplacePreview, DeviceRetire, DeviceRetirePreview, DeviceRevoke,
        DeviceRevokePreview, DeviceShow, DeviceTimeline, DeviceToken,
    },
    dto::{
        ApproveEnrolments, ApprovedEnrolments, ClearCloned, DeviceName, DeviceTimelineRequest, ListDevices,
        MakeToken, Nothing, PageRequest, ReplaceDevice, RevokeDevice,
    },
    model::{DeviceId, HardwareRevision, ModelName, Seconds, Serial, StationName},
};
use clap::Subcommand;

use crate::{
    Session,
    output::{of, table},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a one-time enrolment token for one device
    Token {
        /// The serial number on its label
        #[arg(long)]
        serial: Serial,
        /// Its model
        #[arg(long)]
        model: ModelName,
        /// The revision of its hardware
        #[arg(long, default_value = "1")]
        hardware_revision: HardwareRevision,
        /// The station whose name space it joins [default: the fleet's first]
        #[arg(long)]
        station: Option<StationName>,
        /// How long the token is good for
        #[arg(long, default_value = "7d", value_parser = parse::duration)]
        life: Seconds,
        /// Write it to a file of yours (0600) instead of stdout
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Enrolments and renewals that wait
    Enrolments,
    /// Check what waits, and issue certificates to those that are right
    Approve {
        /// Stay, and approve as they come
        #[arg(long)]
        watch: bool,
        /// With --watch: end once so many devices have proven their keys
        #[arg(long, value_name = "N")]
        until_proven: Option<usize>,
    },
    /// List devices
    List {
        /// Whose serial number begins with this
        #[arg(long)]
        serial: Option<String>,
        /// Of this model
        #[arg(long)]
        model: Option<ModelName>,
        /// Go on after a page
        #[arg(long)]
        after: Option<String>,
    },
    /// One device
    Show {
        /// Its id
        device: DeviceId,
    },
    /// What happened to a device
    Timeline {
        /// Its id
        device: DeviceId,
    },
    /// Say that a device marked as cloned is one unit after all
    ClearCloned {
        /// Its id
        device: DeviceId,
    },
    /// Take a device out of service: it is refused at its next request
    Retire {
        /// Its id
        device: DeviceId,
        /// Why, for the audit trail
        #[arg(long)]
        reason: String,
    },
    /// Make a token for a unit with new keys that takes a device's place
    Replace {
        /// Its id
        device: DeviceId,
        /// How long the token is good for
        #[arg(long, default_value = "7d", value_parser = parse::duration)]
        life: Seconds,
    },
    /// Revoke a device: it is refused at its next request
    Revoke {
        /// Its id
        device: DeviceId,
        /// Why, for the audit trail
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::Token { serial, model, hardware_revision, station, life, out } => {
            session.unlock().await?;
            let request = MakeToken { serial, model, hardware_revision, station, life };
            let token = app.run::<DeviceToken>(request).await?;
            match out {
                Some(file) => app::write_secret(&file, &token.token)?,
                None => output.result(&token, || token.token.clone()),
            }
        }
        Verb::Enrolments => {
            let waiting = app.run::<DeviceEnrolments>(Nothing {}).await?;
            output.result(&waiting, || {
                let mut rows = vec![vec!["serial".to_owned(), "model".to_owned(), "state".to_owned()]];
                rows.extend(waiting.rows.iter().map(|row| {
                    vec![
                        row.token.serial.to_string(),
                        row.token.model.to_string(),
                        format!("{:?}", row.state).to_lowercase(),
                    ]
                }));
                table(&rows)
            });
        }
        Verb::Approve { watch, until_proven } => {
            session.unlock().await?;
            let mut all = ApprovedEnrolments::default();
            if watch {
                let until = match until_proven {
                    Some(n) => {
                        format!("this ends by itself after {} that proved its keys", of(n as u64, "device"))
                    }
                    None => "end with Ctrl-C".to_owned(),
                };
                output.note(&format!("waiting for devices that enrol; {until}"));
            }
            loop {
                let now = app.run::<DeviceApprove>(ApproveEnrolments {}).await?;
                for line in describe(&now) {
                    output.note(&line);
                }
                all.issued.extend(now.issued);
                all.proven.extend(now.proven);
                all.refused.extend(now.refused);
                if !watch || until_proven.is_some_and(|n| all.proven.len() >= n) {
                    break;
                }
                app.wait_for_enrolments().await?;
            }
            output.result(&all, || {
                format!(
                    "{} issued, {} proven, {} refused",
                    all.issued.len(),
                    all.proven.len(),
                    all.refused.len()
                )
            });
        }
        Verb::List { serial, model, after } => {
            let mut request = ListDevices::default();
            request.filter.serial_prefix = serial;
            request.filter.model = model;
            request.page.after = after;
            let page = app.run::<DeviceList>(request).await?;
            output.result(&page, || {
                let mut rows = vec![
                    ["serial", "model", "state", "reached", "runs", "last seen", "device"]
                        .map(str::to_owned)
                        .to_vec(),
                ];
                rows.extend(page.rows.iter().map(|row| {
                    let runs: Vec<_> = row
                        .components
                        .iter()
                        .map(|part| format!("{} {}", part.component, part.version))
                        .collect();
                    vec![
                        row.serial.to_string(),
                        row.model.to_string(),
                        format!("{:?}", row.state).to_lowercase(),
                        format!("{:?}", row.connectivity).to_lowercase(),
                        runs.join(", "),
                        row.last_seen_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
                        row.id.to_string(),
                    ]
                }));
                let more =
                    page.next.as_ref().map_or_else(String::new, |next| format!("more: --after {next}\n"));
                table(&rows) + &more
            });
        }
        Verb::Show { device } => {
            let detail = app.run::<DeviceShow>(DeviceName { device }).await?;
            output.result(&detail, || {
                format!(
                    "{}\nserial {}, {} revision {}, {}, {}\nenrolled {} at station {}, keys {}\nkey {}",
                    detail.row.id,
                    detail.row.serial,
                    detail.row.model,
                    detail.row.hardware_revision,
                    format!("{:?}", detail.row.state).to_lowercase(),
                    format!("{:?}", detail.row.connectivity).to_lowercase(),
                    detail.enrolled_at,
                    detail.station,
                    if detail.proof.is_some() { "proven" } else { "not proven" },
                    detail.spki,
                )
            });
        }
        Verb::Timeline { device } => {
            let request = DeviceTimelineRequest { device, page: PageRequest::default() };
            let page = app.run::<DeviceTimeline>(request).await?;
            output.result(&page, || {
                let rows = page
                    .rows
                    .iter()
                    .map(|row| vec![row.at.to_string(), row.kind.clone(), row.detail.clone()]);
                table(&rows.collect::<Vec<_>>())
            });
        }
        Verb::ClearCloned { device } => {
            let preview = app.run::<DeviceClearClonedPreview>(DeviceName { device }).await?;
            session.confirm(&preview)?;
            let done = app.run::<DeviceClearCloned>(ClearCloned { device, token: preview.token }).await?;
            output.result(&done, || format!("{device} is served again"));
        }
        Verb::Retire { device, reason } => {
            session.unlock().await?;
            let preview = app.run::<DeviceRetirePreview>(DeviceName { device }).await?;
            session.confirm(&preview)?;
            let done = app.run::<DeviceRetire>(RevokeDevice { device, reason, token: preview.token }).await?;
            output.result(&done, || format!("{device} is retired"));
        }
        Verb::Replace { device, life } => {
            session.unlock().await?;
            let preview = app.run::<DeviceReplacePreview>(DeviceName { device }).await?;
            session.confirm(&preview)?;
            let request = ReplaceDevice { device, life, token: preview.token };
            let token = app.run::<DeviceReplace>(request).await?;
            output.result(&token, || token.token.clone());
        }
        Verb::Revoke { device, reason } => {
            session.unlock().await?;
            let preview = app.run::<DeviceRevokePreview>(DeviceName { device }).await?;
            session.confirm(&preview)?;
            let done = app.run::<DeviceRevoke>(RevokeDevice { device, reason, token: preview.token }).await?;
            output.result(&done, || {
                let exposed = done.exposed.iter().map(crate::fleet::exposed);
                std::iter::once(format!("{device} is revoked")).chain(exposed).collect::<Vec<_>>().join("\n")
            });
        }
    }
    Ok(())
}

fn describe(now: &ApprovedEnrolments) -> Vec<String> {
    let issued = now.issued.iter().map(|serial| format!("issued   {serial}"));
    let proven = now.proven.iter().map(|serial| format!("proven   {serial}"));
    let refused = now.refused.iter().map(|(serial, reason)| format!("refused  {serial}: {reason}"));
    issued.chain(proven).chain(refused).collect()
}
