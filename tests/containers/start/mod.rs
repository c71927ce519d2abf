//! A container starts: who the application is, what it holds, and what it inherits.

mod capabilities;
mod environment;
mod faults;
mod groups;
mod identity;
mod images;
mod inheritance;
mod kinds;
mod messages;
mod namespaces;
mod nonroot;
mod one_file;
mod own_file;
mod stdio;
mod terminals;
mod trace;
mod user_namespaces;
