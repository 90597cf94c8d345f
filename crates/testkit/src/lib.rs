//! Fake clock, throwaway keys, fault-injecting transports. For tests only.
