//! The desktop in real windows, on a display that nobody sees, driven as a person would.

mod driver;
mod memory;
mod page;
mod stage;

pub use driver::Driver;
pub use page::{Page, Windows};
pub use stage::Stage;
