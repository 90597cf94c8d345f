//! How many files and connections this program may have open at once.

use protocol::ErrorCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;

/// What a program needs besides.
const BESIDES: u64 = 256;

/// Makes room for so many connections.
///
/// # Errors
/// Its user may not have so many; there is as much room then as there may be.
pub(crate) fn make_room(connections: usize) -> Result<(), Error> {
    let wanted = (connections as u64).saturating_add(BESIDES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < most) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum })
            .map_err(|source| Error::internal("the limit of open files could not be raised", source))?;
    }
    if most < wanted {
        let why = format!("this program may have {most} files open at once, and would need {wanted}");
        return Err(Error::new(ErrorCode::PreconditionFailed, why)
            .detail("each connection is an open file; this is the hard limit, which it cannot raise itself")
            .hint("raise the limit (`ulimit -Hn`, LimitNOFILE= in a unit), or ask for fewer"));
    }
    Ok(())
}
