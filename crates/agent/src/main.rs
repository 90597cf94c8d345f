//! `fleetseal-agent`.

fn main() {}
