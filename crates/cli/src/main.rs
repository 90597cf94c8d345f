//! Fleetseal on the command line.

fn main() {}
