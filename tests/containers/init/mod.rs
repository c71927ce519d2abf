//! Init mode: a parent stays, forwards signals and reaps.

mod activation;
mod faults;
mod parent;
mod reaping;
mod refusals;
mod signals;
mod terminal;
