//! Binds TCP port 80 on the loopback address, or the port that is its argument. Below
//! net.ipv4.ip_unprivileged_port_start that takes NET_BIND_SERVICE (ip(7)).

use std::net::TcpListener;
use std::process::ExitCode;

fn main() -> ExitCode {
    let port: u16 = match std::env::args().nth(1).as_deref().unwrap_or("80").parse() {
        Ok(port) => port,
        Err(error) => {
            eprintln!("usage: bind_port [PORT]: {error}");
            return ExitCode::from(64);
        }
    };
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => {
            println!("bind of port {port}: bound");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("bind of port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}
