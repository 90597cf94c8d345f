//! The Simple Management Protocol (SMP, "MCUmgr") as it travels over a serial line: message header,
//! CBOR body, and the two framings. Sans-IO: bytes in, bytes out.
//!
//! Source: Zephyr's "SMP Protocol Specification" and "SMP over console"; version 2 of the protocol,
//! with the errors of version 1 understood too.

mod body;
mod frame;
pub mod group;
mod message;

pub use body::{Body, BodyError, Value};
pub use frame::{Deframer, Framing, LINE_BYTES, LINE_PAYLOAD_BYTES, MAX_MESSAGE_BYTES, crc16};
pub use message::{Header, HeaderError, Message, Op};

#[cfg(test)]
mod tests;
