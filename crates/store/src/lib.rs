//! The backend state: one trait, SQLite with group commit, content-addressed artifacts.
