//! The local key vault: sealed key file, slots, locking, generations, audit log.
