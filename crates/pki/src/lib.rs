//! Certificate profiles, CSR policy and issuing, given a signer. Pure.
