//! Who writes an artifact into the device, starts it on trial, and keeps it or goes back.

mod command;
mod marker;
mod program;
mod service;
mod slots;

use std::{future::Future, io, pin::Pin};

use model::{Component, Digest, InstallerName, SecurityCounter, TargetName, Version};
use serde::{Deserialize, Serialize};

use crate::disk;

pub use command::{CommandInstaller, CommandPlan};
pub use program::{Health, Program, ProgramError};
pub use slots::{SlotsInstaller, SlotsPlan};

/// A future behind a pointer, so that installers and connections of different kinds are one type.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is installed: a target as a threshold signed it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Artifact {
    /// Which part of the device it is for.
    pub component: Component,
    /// Its name among the targets.
    pub target: TargetName,
    /// Its version.
    pub version: Version,
    /// Its security counter.
    pub security_counter: SecurityCounter,
    /// Its length.
    pub length_bytes: u64,
    /// Its SHA-256.
    pub digest: Digest,
    /// The installer that it is made for.
    pub installer: InstallerName,
}

/// The plaintext of an artifact, in order, for pass two. All of it was verified in pass one, and each
/// piece is authenticated again as it is opened.
pub trait Content: Send {
    /// The next piece, at most 64 KiB; nothing at the end.
    ///
    /// # Errors
    /// The staged bytes cannot be read, or are no longer those of pass one.
    fn next(&mut self) -> io::Result<Option<&[u8]>>;
}

/// What a switch between softwares comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boot {
    /// What was asked for runs already.
    Running,
    /// The machine, or this very process, is about to go down; ask [`Installer::trial`] after the start.
    Restarting,
}

/// How a trial stands after a start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trial {
    /// The switch to the new software did not happen yet.
    NotStarted,
    /// The new software runs.
    Running,
    /// It was tried, and the old software runs again.
    FellBack,
}

/// Why an installer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The disk cannot take it.
    #[error("the disk is full")]
    Full,
    /// A file could not be written, switched or read.
    #[error("failed to {action}")]
    Disk {
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program failed, or said no.
    #[error("{step} failed")]
    Program {
        /// Which step it stands for, such as `install`.
        step: &'static str,
        /// How it failed.
        #[source]
        source: ProgramError,
    },
    /// The device is not set up as the installer needs it.
    #[error("{reason}")]
    Setup {
        /// What is wrong.
        reason: String,
    },
}

impl InstallError {
    pub(crate) fn disk(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| if disk::is_full(&source) { Self::Full } else { Self::Disk { action, source } }
    }

    pub(crate) fn program(step: &'static str) -> impl FnOnce(ProgramError) -> Self {
        move |source| Self::Program { step, source }
    }
}

/// The way into one component.
///
/// The device may lose power within any call, and asks the same again after its start: each call is
/// harmless when it was done before, in part or as a whole. At most one artifact is between
/// [`install`](Self::install) and [`confirm`](Self::confirm) or [`roll_back`](Self::roll_back).
pub trait Installer: Send {
    /// The name that targets carry for this kind of installer.
    fn name(&self) -> InstallerName;

    /// Writes the artifact where it runs from after the next boot, beside what runs now, with the
    /// installer's own signature check if it has one.
    fn install<'a>(
        &'a mut self,
        artifact: &'a Artifact,
        content: &'a mut dyn Content,
    ) -> Pending<'a, Result<(), InstallError>>;

    /// Boots what [`install`](Self::install) wrote, on trial.
    fn start_trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>>;

    /// How the trial stands: asked after a start.
    fn trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Trial, InstallError>>;

    /// Whether the new software, which runs, is well. Takes as long as it grants the software to get ready.
    fn check<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>>;

    /// Makes the new software what runs after every boot from now on.
    fn confirm<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>>;

    /// Goes back to the old software, and forgets the new one's trial.
    fn roll_back<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>>;
}
