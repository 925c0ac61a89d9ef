//! Words that `trail query` and `trail tail` know.

use crate::serve::run;

#[test]
fn a_word_that_nobody_knows_is_an_error_with_the_one_that_was_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trail.jsonl");
    std::fs::write(&file, "").expect("written");
    let file = file.to_str().expect("UTF-8");
    for command in ["query", "tail"] {
        for (option, word, wanted) in [
            ("--decision", "denied", "did you mean deny?"),
            ("--decision", "Deny", "did you mean deny?"),
            ("--decision", "wuold-deny", "did you mean would-deny?"),
            ("--decision", "", "decisions are "),
            ("--policy", "unpined-images", "did you mean unpinned-images?"),
            ("--policy", "default-run-as-nonroot", "did you mean default-run-as-non-root?"),
            ("--policy", "podSecurityLabel", "did you mean podSecurityLabels?"),
            ("--policy", "xyz", "policies are unpinned-images, "),
        ] {
            let (code, stdout, stderr) = run(&["trail", command, option, word, file], "");
            assert_eq!((code, &*stdout), (Some(2), ""), "{command} {option} {word}: {stderr}");
            assert!(stderr.contains(wanted), "{command} {option} {word}: {stderr}");
        }
        for (option, word) in [("--decision", "deny"), ("--decision", "unchanged"), ("--policy", "podSecurityLabels")] {
            let (code, _, stderr) = run(&["trail", command, option, word, file], "");
            assert_eq!(code, Some(0), "{command} {option} {word}: {stderr}");
        }
    }
}
