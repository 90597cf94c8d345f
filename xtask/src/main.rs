//! Set-up, tests, tidy and benches of this repository.

fn main() {}
