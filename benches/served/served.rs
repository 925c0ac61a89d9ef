//! A served program, and the CPU time that it takes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// A served program.
pub(crate) struct Served {
    child: Child,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Its folder, with its configuration and its spool, which lasts as long.
    #[allow(dead_code, reason = "only one of the benchmarks reads it")]
    pub(crate) folder: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// TLS of a client that trusts one certificate.
pub(crate) fn trusting(certificate: &CertificateDer<'static>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The median of some figures.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Serves with a configuration, which is what follows its head; `http1` offers HTTP/1.1 only.
pub(crate) fn serve(
    config: &str,
    http1: bool,
    certificate: &str,
    key: &str,
) -> Result<Served, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
    fs::write(folder.path().join("config.yaml"), format!("{head}{config}\n"))?;
    fs::write(folder.path().join("cert.pem"), certificate)?;
    fs::write(folder.path().join("key.pem"), key)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["serve", "--config=config.yaml", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
        .args(http1.then_some("--http1"))
        .args(["--tls-cert=cert.pem", "--tls-key=key.pem"])
        .env("PORTCULLIS_LOG", "portcullis::cli=info")
        .current_dir(folder.path());
    start(command, folder)
}

/// Starts a command that says `"address":"127.0.0.1:PORT"` on its standard error.
pub(crate) fn start(mut command: Command, folder: tempfile::TempDir) -> Result<Served, Box<dyn std::error::Error>> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let log = child.stderr.take().ok_or("no log")?;
    let mut port = None;
    let mut lines = BufReader::new(log).lines();
    for line in lines.by_ref() {
        let line = line?;
        if let Some(address) = line.split("\"address\":\"127.0.0.1:").nth(1) {
            port = address.split('"').next().and_then(|port| port.parse().ok());
            break;
        }
    }
    // The rest is read, so that nobody waits for room in a pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(Served { child, port: port.ok_or("it did not start")?, folder })
}

impl Served {
    /// Seconds of CPU that its threads have had, by the scheduler's statistics of proc(5).
    pub(crate) fn cpu(&self) -> Result<f64, Box<dyn std::error::Error>> {
        let mut nanoseconds = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().unwrap_or_default().parse::<f64>()?;
        }
        Ok(nanoseconds / 1e9)
    }
}
