use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// What the system allowed to keep secrets off the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardened {
    /// A crash writes no core file.
    pub no_core_dumps: bool,
    /// Memory is never swapped out.
    pub memory_locked: bool,
}

/// Keeps this process's secrets off the disk, as far as the system allows: no core dumps, no
/// swapping. To be called once by each shell, before a vault is opened.
///
/// Memory is only locked where its limit is infinite: below that, a later allocation (deriving a key
/// takes 256 MiB) would fail instead of being swapped.
pub fn harden() -> Hardened {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let no_core_dumps = setrlimit(Resource::Core, none).is_ok();
    let memory_locked = getrlimit(Resource::Memlock).current.is_none()
        && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).is_ok();
    Hardened { no_core_dumps, memory_locked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_writes_no_core_file() {
        assert!(harden().no_core_dumps);
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_said_of_locked_memory_is_what_the_system_did() {
        let said = harden().memory_locked;
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let locked: u64 = locked.split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(locked > 0, said, "{locked} KiB");
    }
}
