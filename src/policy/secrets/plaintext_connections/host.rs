//! Hosts that are the Pod itself.

use super::known::{Known, is_partly_unknown, is_wholly_unknown};
use crate::addresses::IpAddr;

/// Hosts of one connection that are looked at.
const HOSTS: usize = 64;

/// The way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// The Pod itself: loopback, a socket of its file system.
    Local,
    /// Another host, or a reference, which is taken for one.
    Other,
    /// A text that may not be a host.
    Unknown,
}

/// The host of `host`, `host:port`, `[::1]:5432` or a path.
pub(super) fn of(written: &str, known: &Known<'_>) -> Host {
    let name = without_port(written.trim());
    if name.is_empty() || name.starts_with('/') || name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f"))
    {
        return Host::Local;
    }
    let name = match known.resolved(name) {
        // A variable may hold the port too.
        Some(name) => without_port(name),
        // `${HOST:-localhost}`
        None if is_wholly_unknown(name) && default_of(name).is_some_and(is_local) => return Host::Unknown,
        None if is_wholly_unknown(name) => return Host::Other,
        None => name,
    };
    if is_local(name) {
        return Host::Local;
    }
    let is_plausible = name.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%\\".contains(&byte) || !byte.is_ascii());
    // `$(NAME)-primary.example.com` is a host; `$(HOST)$(PORT)` need not be.
    let is_pattern =
        || is_partly_unknown(name) && name.contains(['.', '-']) && !name.contains(['/', '?', '*', '\\', '|', '^']);
    if is_plausible || is_pattern() { Host::Other } else { Host::Unknown }
}

/// The host of several: local if all are, and unknown if one is.
pub(super) fn of_all<'h>(hosts: impl Iterator<Item = &'h str>, known: &Known<'_>) -> Host {
    let mut all = Host::Local;
    for host in hosts.take(HOSTS) {
        match of(host, known) {
            Host::Unknown => return Host::Unknown,
            Host::Other => all = Host::Other,
            Host::Local => {}
        }
    }
    all
}

/// True for names and addresses of the loopback interface.
pub(super) fn is_local(name: &str) -> bool {
    let name = name.trim_matches(['[', ']']);
    let name = name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name);
    let is_name = name.eq_ignore_ascii_case("localhost")
        || name.eq_ignore_ascii_case("localhost.localdomain")
        || name.eq_ignore_ascii_case("ip6-localhost")
        || name
            .len()
            .checked_sub(".localhost".len())
            .and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(".localhost"));
    is_name || name.parse().is_ok_and(is_loopback)
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
    }
}

/// The default that a reference names.
fn default_of(reference: &str) -> Option<&str> {
    let (_, default) = reference.strip_suffix('}')?.split_once(':')?;
    Some(default.trim_start_matches(['-', '=']))
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(host, |(address, _)| address);
    }
    match host.rsplit_once(':') {
        // More than one colon: an address of IPv6 without brackets.
        Some((name, _)) if name.contains(':') && !name.contains(['$', '{']) => host,
        Some((name, port)) if is_port(port) => name,
        _ => host,
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) || is_wholly_unknown(port)
}

#[cfg(test)]
mod tests {
    use super::super::known::Known;
    use super::{Host, of};

    #[test]
    fn a_host_is_the_pod_or_another_one() {
        for host in [
            "localhost",
            "LOCALHOST:5432",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:5432",
            "::1",
            "localhost.",
            "db.localhost",
            "/var/run/postgresql",
            "%2Fvar%2Frun",
            "",
            ":6379",
            "::ffff:127.0.0.1",
            "localhost:$(PORT)",
        ] {
            assert_eq!(of(host, &Known::new(None)), Host::Local, "{host}");
        }
        for host in [
            "db",
            "localhost.example.com",
            "128.0.0.1:1",
            "[2001:db8::1]",
            "$(HOST)",
            "${HOST}:5432",
            "$(NAME)-rw.shop:$(PORT)",
            "mylocalhost",
            "0.0.0.0",
            "2001:db8::1",
            "127.0.0.1.example.com",
            "{{ .Values.host }}:5432",
        ] {
            assert_eq!(of(host, &Known::new(None)), Host::Other, "{host}");
        }
        for host in ["${HOST:-localhost}:5432", ".*", "...", "$(HOST)$(PORT)", "(host=db)"] {
            assert_eq!(of(host, &Known::new(None)), Host::Unknown, "{host}");
        }
    }
}
