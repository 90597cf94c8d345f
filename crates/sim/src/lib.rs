//! Simulated fleets that speak the real protocols.
