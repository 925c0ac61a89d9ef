//! Security protocols of Kafka, in the spellings of clients, brokers and images.

use super::host::{self, Host};
use super::known::{Known, plain, without_end};

const PROTOCOL: &str = "the security protocol PLAINTEXT or SASL_PLAINTEXT of Kafka";
const LISTENER: &str = "a listener of Kafka with the protocol PLAINTEXT or SASL_PLAINTEXT";
/// Names that give the brokers of a client, behind the beginning that they share with its protocol.
const SERVERS: [&str; 5] = ["bootstrapservers", "bootstrapserver", "brokers", "brokerlist", "servers"];
/// Listeners of a map that are read.
const LISTENERS: usize = 64;

/// The kind of plaintext connection that a value is by its name: `security.protocol`, `KAFKA_CFG_SECURITY_PROTOCOL`,
/// `securityProtocol`, `KAFKA_LISTENER_SECURITY_PROTOCOL_MAP`.
pub(super) fn named(name: &str, value: &str, known: &Known<'_>) -> Option<&'static str> {
    if without_end(name, "listenersecurityprotocolmap").is_some() {
        return value.split(',').take(LISTENERS).any(is_plaintext_listener).then_some(LISTENER);
    }
    if !is_plaintext(value) {
        return None;
    }
    if without_end(name, "securityinterbrokerprotocol").is_some() {
        return Some(PROTOCOL);
    }
    let before = without_end(name, "securityprotocol")?;
    let servers = SERVERS.iter().find_map(|servers| known.alike(&[&before, servers]));
    let is_local = servers.is_some_and(|servers| host::of_all(servers.split(','), known) == Host::Local);
    (!is_local).then_some(PROTOCOL)
}

fn is_plaintext(value: &str) -> bool {
    value.len() < 32 && matches!(plain(value).as_str(), "plaintext" | "saslplaintext")
}

/// True for `INTERNAL:PLAINTEXT`. One with the name of its protocol is of a map with every protocol, and its listener is a URL.
fn is_plaintext_listener(pair: &str) -> bool {
    let Some((name, protocol)) = pair.split_once(':') else { return false };
    is_plaintext(protocol) && !name.trim().eq_ignore_ascii_case(protocol.trim())
}
