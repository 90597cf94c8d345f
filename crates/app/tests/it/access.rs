use app::command::{Access, TABLE};
use model::Role;
use protocol::ErrorCode;
use serde_json::Value;

use crate::office::Office;

/// Whoever may not run a command is told so whatever they ask, and whoever may is told that `null` is no
/// request: nothing is carried out.
#[tokio::test(flavor = "multi_thread")]
async fn every_role_runs_the_commands_that_are_its_own_and_no_others() {
    let mut refused = 0;
    for role in Role::ALL {
        let office = Office::found_and(&["alice"], 1, |office| {
            let given = office.database().execute("UPDATE person SET roles = ?1", [role.as_str()]).unwrap();
            assert_eq!(given, 1);
        })
        .await;
        for (name, access) in TABLE {
            let error = office.run("alice", name, Value::Null).await.unwrap_err();
            let allowed = match access {
                Access::Local | Access::Member => true,
                Access::Roles(roles) => roles.contains(&role),
            };
            let expected = if allowed { ErrorCode::InvalidRequest } else { ErrorCode::Forbidden };
            assert_eq!(error.code(), expected, "{role:?} {name}: {:?}", error.body());
            assert!(error.body().message.contains(name), "this desktop itself says so: {:?}", error.body());
            refused += usize::from(!allowed);
        }
    }
    assert!(refused > TABLE.len(), "only {refused} were refused");
}
