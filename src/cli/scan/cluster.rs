//! The objects of a cluster.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{Args, Scan, Subject};
use crate::cli::connect;
use crate::cli::row::Examined;
use crate::cli::unjudged::is_own;
use crate::document::{Node, Position, Value};
use crate::scan::{Bench, Identity, Known, Listed, Origin, References, Visitor, Written, each, served, world};

/// Maximum time for a connection.
const CONNECT: Duration = Duration::from_secs(10);

pub(super) fn scan(scan: &mut Scan<'_>, args: &Args) -> Result<(), String> {
    // kube's client takes the process's default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let scanned = runtime.block_on(whole(scan, args));
    // Connections that would not end are left behind.
    runtime.shutdown_timeout(Duration::from_millis(100));
    scanned
}

async fn whole(scan: &mut Scan<'_>, args: &Args) -> Result<(), String> {
    let config = connect::config(args.kubeconfig.as_deref()).await?;
    let mut config =
        config.ok_or("there is no cluster to scan: name one with --kubeconfig, or name files to be judged instead")?;
    config.connect_timeout = Some(CONNECT);
    let client = kube::Client::try_from(config).map_err(|error| format!("the cluster: {error}"))?;
    let served = served(&client, scan.snapshot).await.map_err(|error| format!("the cluster: {error}"))?;
    for missing in &served.missing {
        scan.say(&format!("note: {missing}: nothing of it is judged"));
    }
    for error in &served.errors {
        scan.cannot(&error.to_string());
    }
    let mut owners = std::mem::take(&mut scan.owners);
    let objects = world(scan.snapshot, scan.now, true);
    let (mut known, errors) = Known::list(&client, objects, args.page_size, &mut owners, &mut Told(scan)).await;
    scan.owners = owners;
    for error in errors {
        scan.cannot(&error.to_string());
    }
    for kind in &served.kinds {
        let known = &mut known;
        if let Err(error) = each(&client, kind, args.page_size, &mut Judging { scan, known }).await {
            scan.cannot(&error.to_string());
        }
    }
    scan.notes.extend(known.objects().note());
    Ok(())
}

/// Judges what is listed.
struct Judging<'j, 's> {
    scan: &'j mut Scan<'s>,
    known: &'j mut Known,
}

impl Visitor for Judging<'_, '_> {
    fn object(&mut self, kind: &Listed, object: &RawValue) {
        let references = References::of(object);
        self.scan.owners.learn(&kind.kind, &references);
        self.known.learn(kind, object, &references);
        let (snapshot, now) = (self.scan.snapshot, self.scan.now);
        let bench = Bench { snapshot, world: &*self.known, ranges: self.known.objects(), now };
        let identity = Identity {
            api_version: kind.api_version(),
            kind: kind.kind.clone(),
            namespace: references.namespace().to_owned(),
            name: references.name().to_owned(),
        };
        let node = || serde_json::from_str::<Node>(object.get()).ok();
        // Most objects are judged as they came. One with a field of the wrong type is judged without that, and one of
        // another project's kinds is searched for templates that nobody judges.
        let decided = is_own(&kind.group).then(|| bench.decide(Written::Json(object), &identity, Origin::Stored));
        let examined = if let Some(Ok(decision)) = decided {
            Examined::decided(decision)
        } else {
            let Some(node) = node() else {
                self.scan.cannot(&format!("{} {}/{}: nested too deeply", kind.kind, identity.namespace, identity.name));
                return;
            };
            Examined::of(&bench, &node, &identity, Origin::Stored)
        };
        let has_findings = examined.judgement.decision.as_ref().is_some_and(|decision| !decision.findings.is_empty());
        let subject = Subject { file: None, identity: &identity, references: &references, examined: &examined };
        let nothing = || Some(Node { position: Position::default(), value: Value::Null });
        self.scan.take(&subject, || if has_findings { node() } else { nothing() });
    }

    fn progress(&mut self, kind: &Listed, done: usize, remaining: Option<u64>) {
        self.scan.progress.show(&kind.qualified(), done, remaining);
    }

    fn note(&mut self, note: String) {
        self.scan.say(&format!("note: {note}"));
    }
}

/// Shows how far the facts are.
struct Told<'t, 's>(&'t mut Scan<'s>);

impl Visitor for Told<'_, '_> {
    fn object(&mut self, _: &Listed, _: &RawValue) {}

    fn progress(&mut self, kind: &Listed, done: usize, remaining: Option<u64>) {
        self.0.progress.show(&kind.qualified(), done, remaining);
    }

    fn note(&mut self, note: String) {
        self.0.say(&format!("note: {note}"));
    }
}
