//! `check --format json`: where a finding is said to be is a place in the submitted object.

use jsonptr::Pointer;
use serde_json::Value;

use super::{folder, run_in};
use crate::fixtures;
use crate::judging::{HEAD, create, documents, only, world};
use crate::remedies::forms;

use portcullis::request::Source;

#[test]
fn a_pointer_leads_to_the_deepest_part_of_the_path_that_is_there() {
    let mut whole = 0;
    for (id, fixture) in fixtures::all().filter(|(_, fixture)| fixture.is_denied()) {
        let config = format!("{HEAD}policies: {{{id}: {}}}\n", fixtures::enforced(id));
        let forms = forms(&fixture);
        // What else the fixture holds, then each form of its pod.
        let mut objects = documents(&fixture.text);
        objects.retain(|object| object["kind"] != "Pod");
        let others = objects.len();
        objects.extend(forms.iter().cloned());
        let input: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
        let folder = folder(&[("config.yaml", &config), ("input.yaml", &input)]);
        let around = if others > 0 { vec![] } else { vec!["--cluster-from", "config.yaml"] };
        let arguments = [&["check", "input.yaml", "--config", "config.yaml", "--format", "json"], &around[..]].concat();
        let ran = run_in(folder.path(), &arguments, b"").with_code(1);
        let rows: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(rows.len(), objects.len());

        for (object, row) in forms.iter().zip(&rows[others..]) {
            let name = format!("{id}/{} as {}", fixture.name, object["kind"]);
            let decision = create(&only(id), object, &world(&fixture.text), Source::Manifest).expect("readable");
            let printed = row["findings"].as_array().expect("findings");
            assert_eq!(printed.len(), decision.findings.len(), "{name}");
            assert!(!printed.is_empty(), "{name}");
            for (printed, finding) in printed.iter().zip(&decision.findings) {
                assert_eq!(printed["path"], finding.place.shown(), "{name}");
                let full = finding.place.path.pointer();
                let pointer = Pointer::parse(printed["pointer"].as_str().expect("a pointer")).expect("well-formed");
                assert!(pointer.resolve(object).is_ok(), "{name}: {pointer} leads nowhere");
                assert!(full.starts_with(pointer), "{name}: {pointer} is not above {full}");
                match full.tokens().nth(pointer.count()) {
                    None => whole += 1,
                    Some(next) => {
                        let deeper = pointer.with_trailing_token(next);
                        assert!(deeper.resolve(object).is_err(), "{name}: {deeper} is there, and {pointer} was said");
                    }
                }
            }
        }
    }
    assert!(whole > 500, "fields that are there are named in full: {whole}");
}
