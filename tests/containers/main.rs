//! capshim in real containers: the real binary, started by runc, observed from inside the
//! program that it executes.
//!
//! scripts/test builds what these tests need and runs them.

mod attach;
mod capabilities;
mod case;
mod check;
mod commands;
mod container;
mod environment;
mod faults;
mod grants;
mod groups;
mod hints;
mod hints_commands;
mod hints_files;
mod hints_grants;
mod hints_install;
mod hints_kernel;
mod hints_names;
mod hints_settings;
mod hints_walk;
mod identity;
mod images;
mod inheritance;
mod init;
mod init_faults;
mod init_reaping;
mod init_refusals;
mod init_signals;
mod init_terminal;
mod install;
mod install_faults;
mod install_refused;
mod live;
mod messages;
mod namespaces;
mod nonroot;
mod own_file;
mod peers;
mod peers_identity;
mod peers_privileges;
mod peers_table;
mod perform;
mod picture;
mod points;
mod readme;
mod settings;
mod starts;
mod stdio;
mod strace;
mod targets;
mod terminals;
mod trace;
mod trial;
mod volume;
