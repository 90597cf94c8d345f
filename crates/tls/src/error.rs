/// Why there is no configuration or no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A certificate that is none, or not one of ours by its form.
    #[error("failed to read the certificate: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A private key that cannot be read, or that does not belong to the certificate.
    #[error("the private key cannot be read or is not the certificate's")]
    Key(#[source] rustls::Error),
    /// There is nothing to trust.
    #[error("no usable root certificate was given")]
    NoRoot,
    /// The configuration does not hold together.
    #[error("failed to set up TLS")]
    Setup(#[source] rustls::Error),
    /// A host name that no certificate could carry.
    #[error("`{name}` is no host name or address")]
    ServerName {
        /// As given.
        name: String,
    },
    /// The other end did not finish the handshake in time.
    #[error("the handshake took too long")]
    Timeout,
    /// The handshake failed: the other end is not who it should be, or speaks another protocol.
    #[error("the handshake failed")]
    Handshake(#[source] std::io::Error),
}

/// Whether this connection ended by an alert of the other end (RFC 8446, 6.2), which refuses it, and by no
/// accident of the line.
pub fn is_alert(error: &std::io::Error) -> bool {
    let source = error.get_ref().and_then(|source| source.downcast_ref());
    matches!(source, Some(rustls::Error::AlertReceived(_)))
}
