use std::{process::ExitCode, time::Duration};

use app::{
    Error,
    command::{
        RolloutAbort, RolloutAbortPreview, RolloutAdd, RolloutAddPreview, RolloutDeployments, RolloutHold,
        RolloutList, RolloutOpen, RolloutPause, RolloutPreview, RolloutRenew, RolloutResume, RolloutShow,
        RolloutStart,
    },
    dto::{
        AddToRollout, Commit, Effect, ListDeployments, OpenAfter, PageRequest, PhaseSize, PlanRollout,
        Preview, RenewedTickets, RolloutDetail, RolloutName, RolloutPlan,
    },
    model::{
        DeploymentState, DeviceId, FailureThreshold, MaintenanceWindow, Percent, RateLimit, ReleaseId,
        RolloutId, RolloutState, Seconds, TargetName, UnixTime,
    },
};
use clap::{Args, Subcommand};

use crate::{
    Session,
    output::{bytes, of, table},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show what a rollout would do
    Plan(Plan),
    /// Sign a ticket for each device, and start
    Start(Plan),
    /// List rollouts
    List,
    /// One rollout
    Show {
        /// Its id
        rollout: RolloutId,
    },
    /// Watch a rollout until it has ended. Ends with 11 if it was aborted, or not every device succeeded
    Watch {
        /// Its id
        rollout: RolloutId,
    },
    /// Each device's part
    Deployments {
        /// The rollout
        rollout: RolloutId,
        /// In this state
        #[arg(long, value_parser = deployment_state)]
        state: Option<DeploymentState>,
        /// Go on after a page
        #[arg(long)]
        after: Option<String>,
    },
    /// Offer nothing more, until resumed
    Pause {
        /// The rollout
        rollout: RolloutId,
    },
    /// Go on
    Resume {
        /// The rollout
        rollout: RolloutId,
    },
    /// Open the phase after this one, before its success threshold is met
    OpenAfter {
        /// The rollout
        rollout: RolloutId,
        /// The phase before it, counted from 1
        phase: u32,
    },
    /// Sign tickets anew for devices that wait
    Renew {
        /// The rollout
        rollout: RolloutId,
    },
    /// Add devices that joined since the rollout was planned: sign a ticket for each, in its last phase
    Add {
        /// The rollout
        rollout: RolloutId,
        /// Only this device; once for each [default: all of the release's model]
        #[arg(long = "device")]
        devices: Vec<DeviceId>,
    },
    /// Stop what was delivered and is not being installed yet, by signed hold tickets
    Hold {
        /// The rollout
        rollout: RolloutId,
    },
    /// End a rollout: cancel what is not past recall
    Abort {
        /// The rollout
        rollout: RolloutId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The published and sealed release
    release: ReleaseId,
    /// Which of its artifacts, where it has several
    #[arg(long)]
    target: Option<TargetName>,
    /// Only this device; once for each [default: all of the release's model]
    #[arg(long = "device")]
    devices: Vec<DeviceId>,
    /// A phase: 10, 25% or rest, then ,success=95 ,soak=6h ,wait
    #[arg(long = "phase", value_parser = parse::phase, default_value = "rest")]
    phases: Vec<PhaseSize>,
    /// Pause when more than this share of a phase fails
    #[arg(long, value_parser = parse::percent, default_value = "5%")]
    failure: Percent,
    /// ... of at least so many
    #[arg(long, default_value = "3")]
    failure_sample: u32,
    /// How long one device may take from its offer to its confirmation
    #[arg(long, value_parser = parse::duration, default_value = "24h")]
    device_timeout: Seconds,
    /// How often a failed deployment is offered again
    #[arg(long, default_value = "0")]
    retries: u32,
    /// At most so many offers in so long: 500/1h
    #[arg(long, value_parser = parse::rate)]
    rate: Option<RateLimit>,
    /// Only then, in UTC: 22:00+6h
    #[arg(long, value_parser = parse::window)]
    window: Option<MaintenanceWindow>,
    /// How long a download link lives
    #[arg(long, value_parser = parse::duration, default_value = "1h")]
    link_life: Seconds,
    /// How long a ticket lives; at most 14d
    #[arg(long, value_parser = parse::duration, default_value = "7d")]
    ticket_life: Seconds,
    /// When the first phase may open (RFC 3339) [default: now]
    #[arg(long)]
    start_at: Option<UnixTime>,
}

/// Exit code of `watch` when a rollout was aborted, or a device did not end with the new software.
const NOT_ALL: u8 = 11;

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<ExitCode, Error> {
    let Session { app, output, .. } = session;
    let detail = match verb {
        Verb::Plan(plan) => {
            let asked = plan.phases.len();
            let plan = app.run::<RolloutPreview>(request(plan)).await?;
            output.result(&plan, || describe_plan(&plan, asked));
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Start(plan) => {
            let request = request(plan);
            session.unlock().await?;
            let plan = app.run::<RolloutPreview>(request.clone()).await?;
            output.note(&describe_plan(&plan, request.phases.len()));
            session.confirm(&Preview {
                type_to_confirm: None,
                summary: format!(
                    "install {} {} on {}",
                    plan.component,
                    plan.version,
                    of(plan.devices, "device")
                ),
                effects: vec![Effect { effect: "tickets are signed".into(), count: plan.devices.into() }],
                token: String::new(),
            })?;
            app.run::<RolloutStart>(Commit { request, token: plan.token }).await?
        }
        Verb::List => {
            let page = app.run::<RolloutList>(PageRequest::default()).await?;
            output.result(&page, || {
                let mut rows =
                    vec![["target", "state", "done", "created", "rollout"].map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(|row| {
                    let done = row.counts.get(DeploymentState::Succeeded);
                    vec![
                        row.target.to_string(),
                        row.state.as_str().to_owned(),
                        format!("{done}/{}", row.counts.total()),
                        row.created_at.to_string(),
                        row.id.to_string(),
                    ]
                }));
                table(&rows)
            });
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Show { rollout } => app.run::<RolloutShow>(RolloutName { rollout }).await?,
        Verb::Watch { rollout } => {
            let detail = watch(session, rollout).await?;
            output.result(&detail, || describe(&detail));
            let all = detail.row.counts.of(|state| state != DeploymentState::Succeeded) == 0;
            if all && detail.row.state != RolloutState::Aborted {
                return Ok(ExitCode::SUCCESS);
            }
            output.note(&format!("why, device by device: `fleetseal rollout deployments {rollout}`"));
            return Ok(ExitCode::from(NOT_ALL));
        }
        Verb::Deployments { rollout, state, after } => {
            let page = PageRequest { after, limit: None };
            let page = app
                .run::<RolloutDeployments>(ListDeployments { rollout, state, device: None, code: None, page })
                .await?;
            output.result(&page, || {
                let mut rows =
                    vec![["serial", "phase", "state", "served", "why", "device"].map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(|row| {
                    vec![
                        row.serial.to_string(),
                        (row.phase + 1).to_string(),
                        row.state.as_str().to_owned(),
                        format!("{} of {}", bytes(row.served_bytes), bytes(row.total_bytes)),
                        row.code.clone().unwrap_or_default(),
                        row.device.to_string(),
                    ]
                }));
                table(&rows)
            });
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Pause { rollout } => app.run::<RolloutPause>(RolloutName { rollout }).await?,
        Verb::Resume { rollout } => app.run::<RolloutResume>(RolloutName { rollout }).await?,
        Verb::OpenAfter { rollout, phase } => {
            let phase = phase.saturating_sub(1);
            app.run::<RolloutOpen>(OpenAfter { rollout, phase }).await?
        }
        Verb::Renew { rollout } => {
            session.unlock().await?;
            let renewed = app.run::<RolloutRenew>(RolloutName { rollout }).await?;
            output.result(&renewed, || signed("signed anew", &renewed));
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Add { rollout, devices } => {
            session.unlock().await?;
            let request = AddToRollout { rollout, devices };
            let preview = app.run::<RolloutAddPreview>(request.clone()).await?;
            session.confirm(&preview)?;
            let added = app.run::<RolloutAdd>(Commit { request, token: preview.token }).await?;
            output.result(&added, || signed("signed", &added));
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Hold { rollout } => {
            session.unlock().await?;
            let held = app.run::<RolloutHold>(RolloutName { rollout }).await?;
            output.result(&held, || signed("signed, which hold", &held));
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Abort { rollout } => {
            let request = RolloutName { rollout };
            let preview = app.run::<RolloutAbortPreview>(request).await?;
            session.confirm(&preview)?;
            app.run::<RolloutAbort>(Commit { request, token: preview.token }).await?
        }
    };
    output.result(&detail, || describe(&detail));
    Ok(ExitCode::SUCCESS)
}

/// How many tickets were signed, and for how many devices none.
fn signed(how: &str, RenewedTickets { tickets, left_out }: &RenewedTickets) -> String {
    let tickets = of(*tickets, "ticket");
    match left_out {
        0 => format!("{tickets} {how}"),
        _ => format!(
            "{tickets} {how}; none for {left_out} of the devices: nothing signed before speaks for \
             them, or they are revoked"
        ),
    }
}

async fn watch(session: &Session<'_>, rollout: RolloutId) -> Result<RolloutDetail, Error> {
    let mut shown = String::new();
    loop {
        let detail = session.app.run::<RolloutShow>(RolloutName { rollout }).await?;
        let line = progress(&detail);
        if line != shown {
            session.output.note(&line);
            shown = line;
        }
        if detail.row.state.ended() {
            return Ok(detail);
        }
        session.app.wait_for_rollout(rollout, Duration::from_secs(5)).await?;
    }
}

fn request(plan: Plan) -> PlanRollout {
    PlanRollout {
        release: plan.release,
        target: plan.target,
        devices: plan.devices,
        phases: plan.phases,
        failure: FailureThreshold { share: plan.failure, minimum_sample: plan.failure_sample },
        device_timeout: plan.device_timeout,
        retries: plan.retries,
        rate: plan.rate,
        window: plan.window,
        link_life: plan.link_life,
        ticket_life: plan.ticket_life,
        start_at: plan.start_at,
    }
}

fn progress(detail: &RolloutDetail) -> String {
    let states = DeploymentState::ALL.into_iter().filter(|state| detail.row.counts.get(*state) > 0);
    let states: Vec<_> =
        states.map(|state| format!("{} {}", detail.row.counts.get(state), state.as_str())).collect();
    let by_itself = match &detail.pause_cause {
        Some(cause) if detail.row.state == RolloutState::Paused => format!(" by itself ({cause})"),
        _ => String::new(),
    };
    format!("{}  {}{by_itself}: {}", detail.server_time, detail.row.state.as_str(), states.join(", "))
}

fn describe(detail: &RolloutDetail) -> String {
    let text = format!("{}\n{}\n{}\n", detail.row.id, detail.row.target, progress(detail));
    let mut rows =
        vec![["phase", "devices", "succeeded", "failed", "opened", "not before"].map(str::to_owned).to_vec()];
    rows.extend(detail.phases.iter().enumerate().map(|(index, phase)| {
        vec![
            (index + 1).to_string(),
            phase.counts.total().to_string(),
            phase.counts.get(DeploymentState::Succeeded).to_string(),
            phase.counts.of(DeploymentState::counts_as_failure).to_string(),
            phase.opened_at.map_or_else(|| "not yet".to_owned(), |at| at.to_string()),
            phase.not_before.to_string(),
        ]
    }));
    text + &table(&rows)
}

fn describe_plan(plan: &RolloutPlan, asked: usize) -> String {
    let mut text = format!(
        "{} {} for {} ({}), {} to fetch\n",
        plan.component,
        plan.version,
        of(plan.devices, "device"),
        plan.target,
        bytes(plan.traffic_bytes),
    );
    for (index, (phase, at)) in plan.policy.phases.iter().zip(&plan.not_before).enumerate() {
        text.push_str(&format!(
            "  phase {}: {} from {at}, next at {} success\n",
            index + 1,
            of(phase.devices, "device"),
            phase.success,
        ));
    }
    let phases = plan.policy.phases.len();
    if phases < asked {
        text.push_str(&format!("  phase {} and later do not come about: no device is left\n", phases + 1));
    }
    for exclusion in &plan.excluded {
        let why = match &exclusion.first {
            Some(first) => {
                format!("must install {} first: `fleetseal rollout start {}`", first.version, first.release)
            }
            None => exclusion.reason.words().to_owned(),
        };
        text.push_str(&format!("  left out: {}, {why}\n", of(exclusion.count, "device")));
    }
    text
}

fn deployment_state(text: &str) -> Result<DeploymentState, String> {
    DeploymentState::from_wire(text).ok_or_else(|| {
        let names: Vec<_> = DeploymentState::ALL.iter().map(|state| state.as_str()).collect();
        format!("a state is one of {}", names.join(", "))
    })
}
