//! The device side for Linux: verify, download, install, confirm or roll back.
