//! What every implementation of [`Store`] must do, as functions that take a way to make an empty one.
//!
//! [`conformance_suite!`](crate::conformance_suite) makes a test of each.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a suite of tests panics where a store fails it"
)]

use std::{any::Any, fmt, sync::Arc};

use crate::Store;

mod counters;
mod deliveries;
mod devices;
mod fixture;
mod links;
mod records;
mod rollouts;

pub use counters::{Op, counters_equal_a_recount};
pub use deliveries::*;
pub use devices::*;
pub use fixture::Fleet;
pub use links::*;
pub use records::*;
pub use rollouts::*;

/// An empty store and what must outlive it, such as its folder.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Dropped after it.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

/// Makes a Tokio test of each function of the suite. The argument is a function or closure that gives a
/// [`Subject`](crate::conformance::Subject).
#[macro_export]
macro_rules! conformance_suite {
    ($make:expr) => {
        $crate::conformance_suite! { $make;
            a_revoked_person_stays_revoked
            a_token_binds_to_its_first_key_and_repeats
            a_lapsed_or_canceled_token_enrols_nobody
            an_enrolment_is_decided_once
            alarms_are_counted_until_somebody_looks
            timelines_page_newest_first
            the_audit_log_is_one_chain_and_one_tree
            documents_move_together_and_never_backwards
            a_release_changes_as_a_draft_alone
            a_sealed_artifact_never_changes
            what_must_be_unique_is_reserved_before_it_is_signed
            new_keys_take_a_rekey_or_a_replace
            a_rekey_moves_the_identity_and_drops_what_was_sealed_to_the_old_keys
            a_replace_refuses_the_old_record_at_once
            a_renewal_keeps_the_keys
            a_revoked_device_loses_its_links_and_deployments
            a_counter_that_falls_or_forks_flags_the_device
            versions_and_counters_of_versions_never_fall
            device_lists_hold_each_device_once_whatever_the_filter
            device_lists_are_sorted_as_asked
            one_deployment_is_open_per_device_and_component
            a_rollout_steps_as_its_states_allow
            a_rollout_is_observed_from_its_counters
            resuming_forgives_failures_and_has_links_remade
            canceling_spares_what_is_past_recall
            deployment_lists_hold_each_deployment_once
            tickets_are_renewed_upwards_only
            an_offer_takes_a_running_rollout_and_a_ticket_in_force
            a_device_that_is_busy_is_not_ready
            reports_apply_once_and_only_forward
            a_device_that_was_given_up_may_come_home
            deployments_run_out_of_time_and_are_queued_again
            a_link_is_redeemed_once_however_many_ask
            the_last_byte_consumes_a_link_across_reissued_ones
            a_lapsed_link_yields_nothing_and_is_remade
            a_sweep_removes_what_lapsed_and_nothing_else
            a_clock_that_is_set_back_revives_nothing
            revoked_links_are_gone_whoever_remembers_them
            link_lists_hold_each_open_link_once
            what_became_of_links_is_told_newest_first
        }
    };
    ($make:expr; $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $crate::conformance::$name($make).await;
        }
    )*};
}
