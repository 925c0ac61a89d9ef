//! The objects of a cluster.

use serde_json::value::RawValue;

use super::{Args, Scan, Subject};
use crate::cli::connect;
use crate::cli::row::Examined;
use crate::document::{Node, Position, Value};
use crate::scan::{Bench, Identity, Known, Listed, References, Visitor, each, served, world};

/// The error where no cluster and no file is named.
const MISSING: &str = "there is no cluster to scan: name one with --kubeconfig, or name files to be judged instead";

pub(super) fn scan(scan: &mut Scan<'_>, args: &Args) -> Result<(), String> {
    connect::with_cluster(args.kubeconfig.as_deref(), MISSING, async |client| whole(scan, args, client).await)
}

async fn whole(scan: &mut Scan<'_>, args: &Args, client: kube::Client) -> Result<(), String> {
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
    // What could not be listed as a fact is reported once.
    let kinds: Vec<&Listed> = served.kinds.iter().filter(|kind| !known.is_unreadable(kind)).collect();
    for kind in kinds {
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
        let identity = Identity::listed(kind, &references);
        let Some(examined) = Examined::listed(&bench, object, &identity) else {
            self.scan.cannot(&format!("{} {}/{}: nested too deeply", kind.kind, identity.namespace, identity.name));
            return;
        };
        let node = || serde_json::from_str::<Node>(object.get()).ok();
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
