use app::{
    Error,
    command::{ModelList, ModelPut},
    dto::{DeviceModel, Nothing},
    model::{Component, HardwareRevision, ModelName},
    protocol::operator::Slot,
};
use clap::Subcommand;

use crate::{
    Session,
    output::{bytes, table},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the models that were declared
    List,
    /// Declare a model: what releases for it are checked against
    Set {
        /// The model
        model: ModelName,
        /// The revisions of its hardware; once for each
        #[arg(long = "hardware-revision", default_value = "1")]
        hardware_revisions: Vec<HardwareRevision>,
        /// The room for a component, in bytes: COMPONENT=BYTES; once for each
        #[arg(long = "slot", value_parser = slot)]
        slots: Vec<(Component, u64)>,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::List => {
            let page = app.run::<ModelList>(Nothing {}).await?;
            output.result(&page, || {
                let mut rows = vec![["model", "hardware", "slots"].map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(row));
                table(&rows)
            });
        }
        Verb::Set { model, hardware_revisions, slots } => {
            let slots = slots.into_iter().map(|(component, bytes)| Slot { component, bytes }).collect();
            let model = app.run::<ModelPut>(DeviceModel { model, hardware_revisions, slots }).await?;
            output.result(&model, || table(&[row(&model)]));
        }
    }
    Ok(())
}

fn row(model: &DeviceModel) -> Vec<String> {
    let revisions: Vec<_> = model.hardware_revisions.iter().map(ToString::to_string).collect();
    let slot = |slot: &Slot| format!("{} {}", slot.component, bytes(slot.bytes));
    let slots: Vec<_> = model.slots.iter().map(slot).collect();
    vec![model.model.to_string(), revisions.join(", "), slots.join(", ")]
}

fn slot(text: &str) -> Result<(Component, u64), String> {
    let (component, bytes) = text.split_once('=').ok_or("expected COMPONENT=BYTES")?;
    Ok((
        component.parse().map_err(|error| format!("{error}"))?,
        bytes.parse().map_err(|error| format!("{error}"))?,
    ))
}
