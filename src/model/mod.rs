//! The types that all other modules use: refusals, ids, capabilities, credentials.
//!
//! Pure; it imports nothing from the other modules.
#![forbid(unsafe_code)]

pub mod caps;
pub mod credentials;
pub mod error;
pub mod expected;
pub mod file_caps;
pub mod ids;
pub mod script;
