//! rustls configurations, peer identity and live reload.
