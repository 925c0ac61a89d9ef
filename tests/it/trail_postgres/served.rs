//! The served program, whose database is not there when it ends.

use std::net::TcpListener;
use std::time::Instant;

use super::{columns, kept, spooled};
use crate::ports::Port;
use crate::postgres::{PASSWORD, Postgres};
use crate::serve::client::block;
use crate::serve::{HARDENED, Serve, Server, bad_pod, good_pod, review};

fn start(postgres: &Postgres, spool: &std::path::Path, port: u16) -> Server {
    let [password, ca] = ["password", "ca.pem"].map(|name| postgres.path(name).display().to_string());
    let config = format!(
        "{HARDENED}trail:\n  cluster: prod-1\n  spool: {{directory: {}}}\n  sinks:\n  - {{name: database, type: postgres, \
         host: localhost, port: {port}, database: trail, user: writing, passwordFile: {password}, caFile: {ca}}}\n",
        spool.display()
    );
    Serve::new(&config).grace(8).start()
}

fn ask(server: &Server, round: &str) {
    for turn in 0..20 {
        let pod = if turn % 2 == 0 { good_pod() } else { bad_pod() };
        server.post("/validate", review(&format!("{round}-{turn}"), "default", &pod).to_string()).response();
    }
}

/// Ends a server whose sink takes nothing.
fn end(server: Server) {
    let started = Instant::now();
    let (status, stdout, stderr, ..) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    // It has eight seconds, of which it needs five; what the machine takes for the rest is not its.
    assert!(started.elapsed().as_secs() < 8 + 8, "past its grace");
    assert!(stderr.contains("records stay in the spool for the next start"), "{stderr}");
    assert!(!stderr.contains(PASSWORD) && !stdout.contains(PASSWORD));
}

#[test]
fn what_the_database_did_not_take_before_the_end_it_takes_after_the_next_start() {
    let postgres = Postgres::start();
    let spool = tempfile::tempdir().expect("a folder");
    // Nobody listens there.
    let closed = Port::reserve();
    let server = start(&postgres, spool.path(), closed.number());
    ask(&server, "closed");
    end(server);
    // Somebody listens, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = start(&postgres, spool.path(), silent.local_addr().expect("an address").port());
    ask(&server, "silent");
    end(server);
    assert!(block(kept(&postgres)).is_empty());
    let server = start(&postgres, spool.path(), postgres.port);
    ask(&server, "open");
    let (status, _, stderr, ..) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("records stay in the spool"), "{stderr}");
    let spooled = spooled(spool.path());
    assert!(spooled.iter().filter(|line| line.contains("\"decision\":")).count() == 60, "{}", spooled.len());
    assert_eq!(block(kept(&postgres)), spooled);
    assert!(block(columns::fit(&postgres)).contains("decision"));
    let (code, said) = postgres.verify(&[]);
    assert_eq!(code, Some(0), "{said}");
}
