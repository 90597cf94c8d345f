//! People at their desks and the backend of their fleet, in one process, under a clock that is moved by
//! hand.

mod founding;
mod lapsed;
mod office;
mod publication;
