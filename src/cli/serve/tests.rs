//! Tests of the arguments.

use std::net::SocketAddr;

use clap::Parser as _;

use super::{Args, Lifetimes, Managed, named, target};

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

#[test]
fn the_webhooks_lead_to_our_own_namespace_unless_the_certificate_says_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("namespace");
    let of = |managed: Option<Managed>| target(managed.as_ref(), "gate".to_owned(), &file).namespace;
    assert_eq!(of(None), "portcullis");
    std::fs::write(&file, "guard\n").expect("written");
    assert_eq!(of(None), "guard");
    assert_eq!(of(named("other/secret", "gate", Lifetimes::new(20, 10)).ok()), "other");
}
