//! The real programs, `fleetseal` and `fleetseal-agent`, as processes on loopback.

mod bench;
mod by_hand;
mod ceremony;
mod crash;
mod demo;
mod device;
mod fleet;
mod leaving;
mod memory;
mod page;
mod passing;
mod people;
mod renewing;
mod restored;
mod roots;
mod service;
mod sim;
mod site;
mod slots;
mod stolen;
mod team;
mod thief;
mod window;

use tests::program;
