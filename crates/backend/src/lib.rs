//! The backend: device API, push, links, operator API, rollout executor.
