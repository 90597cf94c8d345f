//! The application: one command table for every host.
