//! Whom a fleet trusts for what: `trust/keys.cbor`.

/// What a trusted key is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyRole {
    /// Signs tickets, labels and offline bundles.
    Ticket,
    /// Signs sealed-artifact records.
    Seal,
    /// Signs station grants, replacements and revocation lists.
    Grant,
    /// The backend's: signs links and check-ins.
    Link,
    /// Signs the heads of audit logs.
    Audit,
    /// A vault's KEM key: may receive content keys.
    Member,
    /// A bench's KEM key: may stand in deputy tickets, and never receives a content key.
    Bench,
    /// An X.509 root in force.
    Root,
}

impl KeyRole {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::Ticket,
        Self::Seal,
        Self::Grant,
        Self::Link,
        Self::Audit,
        Self::Member,
        Self::Bench,
        Self::Root,
    ];

    /// The role as it stands in signed bytes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Seal => "seal",
            Self::Grant => "grant",
            Self::Link => "link",
            Self::Audit => "audit",
            Self::Member => "member",
            Self::Bench => "bench",
            Self::Root => "root",
        }
    }
}
