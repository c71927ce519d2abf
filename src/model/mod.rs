//! The words that all other folders speak: refusals, ids, capabilities, credentials.
//!
//! Pure; it imports nothing of the project.
#![forbid(unsafe_code)]

pub mod caps;
pub mod credentials;
pub mod error;
pub mod expected;
pub mod file_caps;
pub mod ids;
pub mod script;
