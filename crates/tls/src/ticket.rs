//! Session tickets (RFC 8446, 4.6.1): stateless, one per connection, dead after an hour.

use std::sync::Arc;

use rustls::{
    crypto::GetRandomFailed, crypto::aws_lc_rs::Ticketer, server::ProducesTickets, ticketer::TicketRotator,
};

use crate::Error;

/// Keys make tickets for this long, and open them for as long again.
const KEY_LIFE_SECS: u32 = 1_800;

pub(crate) fn ticketer() -> Result<Arc<dyn ProducesTickets>, Error> {
    Ok(Arc::new(TicketRotator::new(KEY_LIFE_SECS, fresh_keys).map_err(Error::Setup)?))
}

fn fresh_keys() -> Result<Box<dyn ProducesTickets>, GetRandomFailed> {
    Ok(Box::new(Keys(Ticketer::new().map_err(|_| GetRandomFailed)?)))
}

#[derive(Debug)]
struct Keys(Arc<dyn ProducesTickets>);

impl ProducesTickets for Keys {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        KEY_LIFE_SECS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}
