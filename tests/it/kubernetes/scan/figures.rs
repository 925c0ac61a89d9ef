//! Time and memory of a scan: a few objects in the suite, more with `PORTCULLIS_SCAN_OBJECTS`.

use std::time::Instant;

use serde_json::json;

use super::super::objects::{broken_spec, holder, spec};
use super::super::plane::Plane;
use super::super::space::Space;
use crate::scan::measured;

/// Objects in the suite.
const FEW: usize = 600;
/// Most memory of a scan, in KiB, however many objects there are.
const MEMORY: u64 = 120 << 10;

#[test]
fn a_scan_of_many_objects_is_fast_and_small() {
    let asked = std::env::var("PORTCULLIS_SCAN_OBJECTS").ok().and_then(|number| number.parse().ok());
    let number: usize = asked.unwrap_or(FEW);
    let plane = Plane::start(&["--with-controller-manager=false"]);
    let spaces: Vec<Space> =
        (0..number.div_ceil(1_000).max(4)).map(|at| Space::new(&plane, &format!("many-{at}"))).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let spaces = &spaces;
            scope.spawn(move || {
                for at in (thread..number).step_by(4) {
                    let spec = if at % 10 == 0 { broken_spec() } else { spec() };
                    let mut object = holder("Deployment", &format!("web-{at}"), spec);
                    object["metadata"]["annotations"] = json!({"example.com/notes": "x".repeat(2_000)});
                    spaces[at % spaces.len()].create("deployments", &object).admitted();
                }
            });
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = plane.place.kubeconfig.to_str().expect("UTF-8");
    let start = Instant::now();
    let (ran, peak) = measured(folder.path(), &["--kubeconfig", kubeconfig, "--profile", "hardened"]);
    let elapsed = start.elapsed();
    let ran = ran.with_code(1);
    println!("{number} objects: {:.1} s, peak memory {} MiB", elapsed.as_secs_f64(), peak >> 10);
    let refused = number.div_ceil(10);
    assert!(ran.out.starts_with(&format!("{refused} of {number} objects would be refused")), "{}", ran.out);
    assert!(peak < MEMORY, "{peak} KiB");
}
