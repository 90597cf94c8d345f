use serde::{Deserialize, Serialize};

/// Where a release stands between an idea and the field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Being put together; nobody else sees it.
    Draft,
    /// Handed to the reviewers; its content is fixed.
    Proposed,
    /// A reviewer found it good. Advice: only signatures authorise.
    Approved,
    /// A threshold of release keys signed it.
    Signed,
    /// In the metadata that devices fetch. Nothing installs it before a rollout starts.
    Published,
    /// Taken back: no device installs it any more.
    Withdrawn,
}

/// A step that a release cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a release that is {from} cannot become {to}", from = .from.as_str(), to = .to.as_str())]
pub struct IllegalReleaseStep {
    /// Where it stands.
    pub from: ReleaseState,
    /// Where it was asked to go.
    pub to: ReleaseState,
}

impl ReleaseState {
    /// The state as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Signed => "signed",
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The next state, if the step is one that a release can take. Asking for the present state
    /// again changes nothing and is no error.
    ///
    /// # Errors
    /// The step skips a state or goes backwards (changes requested, and proposing anew, put it back to draft).
    pub fn step(self, to: Self) -> Result<Self, IllegalReleaseStep> {
        use ReleaseState::{Approved, Draft, Proposed, Published, Signed, Withdrawn};
        let allowed = self == to
            || matches!(
                (self, to),
                (Draft, Proposed)
                    | (Proposed | Approved | Signed, Draft)
                    | (Proposed, Approved)
                    | (Proposed | Approved, Signed)
                    | (Signed, Published)
                    | (Proposed | Approved | Signed | Published, Withdrawn)
            );
        if allowed { Ok(to) } else { Err(IllegalReleaseStep { from: self, to }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawn_release_stays_withdrawn_and_nothing_is_published_unsigned() {
        use ReleaseState::*;
        for to in [Draft, Proposed, Approved, Signed, Published] {
            assert!(Withdrawn.step(to).is_err());
        }
        for from in [Draft, Proposed, Approved] {
            assert!(from.step(Published).is_err());
        }
        assert_eq!(Signed.step(Published), Ok(Published));
        assert_eq!(Published.step(Published), Ok(Published));
    }
}
