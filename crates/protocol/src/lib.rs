//! Versioned wire types of the device and operator APIs, and the closed error codes.
