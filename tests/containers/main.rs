//! capshim in real containers: the real binary, started by runc, observed from inside the
//! program that it executes.
//!
//! scripts/test builds what these tests need and runs them.

mod capabilities;
mod container;
mod grants;
mod starts;
