//! A network of a test's own: a node's address, and network namespaces that reach it and are reached from it.
//!
//! A namespace lives as long as its process, and its cable as long as the namespace: nothing is left behind.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Addresses of one network, the node's included.
const SIZE: u32 = 8;
/// Networks in 198.18.0.0/15, which is set aside for tests of network equipment (RFC 2544).
const NETWORKS: u32 = (1 << 17) / SIZE;

/// A node, and the addresses around it.
pub(crate) struct Network {
    pub(crate) node: Ipv4Addr,
    used: AtomicU32,
    holder: Child,
}

impl Network {
    /// Gives this machine one more address. Needs root.
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id().wrapping_mul(4).wrapping_add(MADE.fetch_add(1, Ordering::Relaxed)) % NETWORKS;
        let node = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + number * SIZE + 1);
        // A cable with our end up, into a namespace where nothing happens, kept by a process that ends with its input.
        // It has the way to all the addresses too: one that is not connected yet must not be looked for at the gateway of
        // this machine, where others may accept the connection.
        let (ours, all) = (cable(node), all(node));
        let script = format!(
            "set -eu\nip link add other type veth peer name {ours} netns $PPID\n\
             nsenter --net=/proc/$PPID/ns/net ip addr add {node}/32 dev {ours}\n\
             nsenter --net=/proc/$PPID/ns/net ip link set {ours} up\n\
             nsenter --net=/proc/$PPID/ns/net ip route add {all} dev {ours}\necho up\nexec cat"
        );
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("its output");
        assert_eq!(line, "up\n", "no network namespace: that takes root, iproute2 and util-linux");
        Self { node, used: AtomicU32::new(0), holder }
    }

    /// An address for a namespace.
    pub(crate) fn address(&self) -> Ipv4Addr {
        let used = self.used.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(used < SIZE - 1, "too many addresses");
        Ipv4Addr::from_bits(self.node.to_bits() + used)
    }

    /// Shell commands that connect the namespace they run in, with the node and through it with the other namespaces.
    pub(crate) fn connect(&self, address: Ipv4Addr) -> String {
        let (node, ours, all) = (self.node, cable(address), all(self.node));
        format!(
            "ip link add eth0 type veth peer name {ours} netns $PPID\n\
             nsenter --net=/proc/$PPID/ns/net ip addr add {node} peer {address}/32 dev {ours}\n\
             nsenter --net=/proc/$PPID/ns/net ip link set {ours} up\n\
             nsenter --net=/proc/$PPID/ns/net sh -c 'echo 1 > /proc/sys/net/ipv4/conf/{ours}/forwarding'\n\
             ip link set lo up\nip addr add {address} peer {node}/32 dev eth0\nip link set eth0 up\n\
             ip route add {all} via {node}\n"
        )
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The addresses of a network, in CIDR notation.
fn all(node: Ipv4Addr) -> String {
    format!("{}/{}", Ipv4Addr::from_bits(node.to_bits() & !(SIZE - 1)), 32 - SIZE.ilog2())
}

/// The name of our end; the kernel takes 15 bytes.
fn cable(address: Ipv4Addr) -> String {
    format!("portc{:08x}", address.to_bits())
}

#[test]
fn an_address_that_is_not_connected_is_not_looked_for_elsewhere() {
    let network = Network::new();
    let address = network.address();
    let route = Command::new("ip").args(["route", "get", &address.to_string()]).output().expect("ip runs");
    let route = String::from_utf8(route.stdout).expect("UTF-8");
    assert!(route.contains(&format!("dev {}", cable(network.node))) && !route.contains(" via "), "{route}");
}
