//! Tests of the arguments.

use std::net::SocketAddr;

use clap::Parser as _;

use super::Args;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn listens(arguments: &[&str]) -> SocketAddr {
    let arguments = ["serve"].iter().chain(arguments);
    Command::try_parse_from(arguments).expect("arguments").args.listen
}

#[test]
fn dev_is_reached_from_this_machine_alone_unless_it_is_told_otherwise() {
    assert_eq!(listens(&["--dev"]), ([127, 0, 0, 1], 8443).into());
    assert_eq!(listens(&["--dev", "--listen", "0.0.0.0:9443"]), ([0, 0, 0, 0], 9443).into());
    let served = listens(&["--config", "c.yaml", "--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
    assert!(served.ip().is_unspecified(), "{served}");
}
