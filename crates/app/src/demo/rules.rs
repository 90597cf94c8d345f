use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::Scene;

/// The rules that a device update must keep.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[expect(missing_docs, reason = "each is described by `Rule::text`")]
pub enum Rule {
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
}

/// What was tried against a rule, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RuleReport {
    /// The rule.
    pub rule: Rule,
    /// What was tried.
    pub tried: String,
    /// What came of it.
    pub outcome: String,
    /// Whether the rule held.
    pub held: bool,
}

/// Collects what was tried.
pub(crate) struct Rules<'a> {
    watch: &'a (dyn Fn(Scene) + Send + Sync),
    reports: Mutex<Vec<RuleReport>>,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(watch: &'a (dyn Fn(Scene) + Send + Sync)) -> Self {
        Self { watch, reports: Mutex::default() }
    }

    /// Notes a trial.
    pub(crate) fn tried(&self, rule: Rule, tried: &str, held: bool, outcome: impl Into<String>) {
        let report = RuleReport { rule, tried: tried.to_owned(), outcome: outcome.into(), held };
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
        (self.watch)(Scene::Tried(report));
    }

    /// Notes a trial that holds if it was refused with this code.
    pub(crate) fn expect_refusal<T>(
        &self,
        rule: Rule,
        tried: &str,
        outcome: Result<T, crate::Error>,
        codes: &[protocol::ErrorCode],
    ) {
        match outcome {
            Ok(_) => self.tried(rule, tried, false, "it was let through"),
            Err(error) => {
                let held = codes.contains(&error.code());
                self.tried(rule, tried, held, format!("refused: {} ({error})", error.code()));
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<RuleReport> {
        let mut reports = self.reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        reports.sort_by_key(|report| report.rule);
        reports
    }
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 14] = [
        Self::R1,
        Self::R2,
        Self::R3,
        Self::R4,
        Self::R5,
        Self::R6,
        Self::R7,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
    ];

    /// The rule in a few words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::R1 => "every connection is mutually authenticated",
            Self::R2 => "whoever relays can neither read nor alter",
            Self::R3 => "every device has its own certificate and keys",
            Self::R4 => "a link is bound to its device",
            Self::R5 => "a link is limited in time",
            Self::R6 => "a link is removed once its download is complete",
            Self::R7 => "a link not used in time is remade and pushed",
            Self::R8 => "the update file is encrypted end to end",
            Self::R9 => "the link itself is encrypted to the device",
            Self::R10 => "the device verifies the origin",
            Self::R11 => "the device verifies the destination",
            Self::R12 => "the device verifies that nothing was altered",
            Self::R13 => "never backwards",
            Self::R14 => "succeeded means booted and confirmed",
        }
    }
}
