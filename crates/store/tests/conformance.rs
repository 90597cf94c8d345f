//! The suite that every store must pass, run against SQLite.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use model::DeploymentState;
use proptest::prelude::*;
use store::{
    SqliteStore,
    conformance::{Op, Subject, counters_equal_a_recount},
};

fn sqlite() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
    Subject { store, keep: Box::new(folder) }
}

store::conformance_suite!(sqlite);

fn op() -> impl Strategy<Value = Op> {
    let n = any::<u8>;
    prop_oneof![
        4 => n().prop_map(Op::Offer),
        2 => n().prop_map(Op::Reissue),
        6 => (n(), prop::sample::select(DeploymentState::ALL.to_vec())).prop_map(|(n, to)| Op::Report(n, to)),
        4 => (n(), n()).prop_map(|(n, tenths)| Op::Serve(n, tenths)),
        2 => n().prop_map(Op::Consume),
        1 => n().prop_map(Op::Revoke),
        2 => n().prop_map(Op::Ticket),
        2 => n().prop_map(Op::Sweep),
        1 => Just(Op::TimeOut),
        2 => n().prop_map(Op::Retry),
        1 => n().prop_map(Op::Cancel),
        1 => Just(Op::PauseOrResume),
        1 => n().prop_map(Op::Withdraw),
        2 => (n(), n()).prop_map(|(n, counter)| Op::CheckIn(n, counter)),
        1 => (n(), any::<bool>()).prop_map(|(n, joins)| Op::Cohort(n, joins)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_equal_a_recount_after_anything(ops in prop::collection::vec(op(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(counters_equal_a_recount(sqlite, ops));
    }
}
