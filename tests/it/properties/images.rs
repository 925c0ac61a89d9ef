//! Image references: no text makes the parser panic, none passes for pinned that is not, and all are taken apart as the
//! OCI distribution project takes them apart.

use std::sync::LazyLock;

use portcullis::object::{Image, Malformed};
use proptest::prelude::*;
use serde_json::Value;

use crate::go_tool::GoTool;

/// A text as the OCI distribution project parses it.
fn referred(text: &str) -> Value {
    static PARSER: LazyLock<GoTool> = LazyLock::new(|| GoTool::start("image-reference"));
    PARSER.ask(&Value::from(text).to_string())
}

/// Asserts that both parsers agree on a text. Digests of other algorithms are references there, and do not pin here.
fn read_alike(text: &str) -> Result<(), TestCaseError> {
    let theirs = referred(text);
    match Image::parse(text) {
        Ok(image) => {
            let domain = image.domain.filter(|domain| *domain != "index.docker.io").unwrap_or("docker.io");
            let is_official = domain == "docker.io" && !image.path.contains('/');
            let path = format!("{}{}", if is_official { "library/" } else { "" }, image.path);
            prop_assert_eq!(&theirs["domain"], domain, "{}", text);
            prop_assert_eq!(&theirs["path"], &path, "{}", text);
            prop_assert_eq!(theirs["tag"].as_str(), image.tag, "{}", text);
            prop_assert_eq!(theirs["digest"].as_str(), image.digest, "{}", text);
        }
        Err(Malformed::Digest) => {
            let digest = theirs["digest"].as_str();
            prop_assert!(digest.is_none_or(|digest| !digest.starts_with("sha256:")), "{}: {}", text, theirs);
        }
        Err(rule) => prop_assert!(theirs["error"].is_string(), "{text}: {rule}, but {theirs}"),
    }
    Ok(())
}

#[test]
fn lengths_and_rules_are_those_of_the_oci_distribution_project() {
    let long = |length: usize| "a".repeat(length);
    let digits = long(64);
    let mut texts: Vec<String> = [
        "",
        "a",
        "A",
        "a:",
        "a:b",
        "a:B",
        "a:-b",
        "a/",
        "/a",
        "a//b",
        "a/B",
        "A/b",
        "É/b",
        "a.b/c",
        "a_b:1/c",
        "a:b/c",
        "localhost/a",
        "localhost/A",
        "LOCALHOST/a",
        "docker.io/a",
        "docker.io/a/b",
        "index.docker.io/a",
        "https://a/b",
        "[::1]:5000/a",
        "[::1]/a",
        "[::g]/a",
        "a b",
        " a",
        "a@",
        "a@b",
        "a@sha256:0",
        "a___b",
        "a__b",
        "a..b",
        "a.-b",
        "a--b",
        "-a",
        "a-",
        "a/-b",
        "a.b:/c",
        "a.b:5000",
        "a.b:5000/c:d",
        "a-.b/c",
        "é",
        "a/é",
        "a/É",
        "a\u{300}/b",
    ]
    .map(str::to_owned)
    .to_vec();
    for host in ["", "a/", "docker.io/", "docker.io/a/", "index.docker.io/", "localhost/", "example.com:5000/"] {
        texts.extend((240..=260).flat_map(|length| {
            [format!("{host}{}", long(length)), format!("{host}{}:1@sha256:{digits}", long(length))]
        }));
    }
    let labels = |count: usize| vec!["a"; count].join(".");
    texts.extend([100, 200, 300].map(|count| format!("{}:5000/{}", labels(count), long(255))));
    texts.extend([128, 129].map(|length| format!("a:{}", long(length))));
    texts.extend([digits.clone(), format!("{digits}:a"), format!("a/{digits}"), digits.to_uppercase()]);
    for text in texts {
        if let Err(error) = read_alike(&text) {
            panic!("{error}");
        }
    }
}

/// True if a text ends in `@sha256:` and 64 lower-case hexadecimal digits, determined without the parser.
fn ends_in_digest(reference: &str) -> bool {
    let Some((_, digits)) = reference.rsplit_once("@sha256:") else { return false };
    digits.len() == 64 && digits.chars().all(|digit| "0123456789abcdef".contains(digit))
}

/// Texts that are nearly references: pieces of them, in any order.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("@sha256:".to_owned()),
        Just("@".to_owned()),
        Just(":".to_owned()),
        Just("/".to_owned()),
        Just("latest".to_owned()),
        Just("registry.example.com:5000/".to_owned()),
        "[a-f0-9]{64}",
        "[A-Fa-f0-9]{63,65}",
        "[a-z0-9._-]{1,8}",
        "[ -~é\u{0}\n]{0,3}",
    ];
    prop_oneof![
        prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat()),
        // All but a digest: of a wrong length, or with a digit that is none.
        "[a-z]{1,8}(:[a-z0-9]{1,4})?@(sha256|sha512|SHA256):[a-f0-9]{63,65}",
        "[a-z]{1,8}@sha256:[a-f0-9]{31}[0-9A-Ga-g]{2}[a-f0-9]{31}",
    ]
}

/// References of the grammar: domain, path, tag, digest.
fn reference() -> impl Strategy<Value = (Option<String>, String, Option<String>, Option<String>)> {
    let domain =
        prop_oneof!["[a-z0-9]{1,8}\\.[a-z]{2,3}(:[0-9]{1,5})?", Just("localhost".to_owned()), "[a-z]{1,8}:[0-9]{1,5}"];
    let component = "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}";
    let path = prop::collection::vec(component, 1..4).prop_map(|components| components.join("/"));
    let (tag, digest) = ("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", "sha256:[a-f0-9]{64}");
    (prop::option::of(domain), path, prop::option::of(tag), prop::option::of(digest)).prop_filter(
        "a first component that names a registry",
        |(domain, path, _, _)| {
            let first = path.split_once('/').map(|(first, _)| first);
            domain.is_some() || first.is_none_or(|first| !first.contains('.') && first != "localhost")
        },
    )
}

proptest! {
    #[test]
    fn every_text_is_read_as_the_oci_distribution_project_reads_it(text in prop_oneof![nearly(), any::<String>()]) {
        read_alike(&text)?;
    }

    #[test]
    fn nothing_passes_for_pinned_that_ends_in_no_digest(reference in prop_oneof![nearly(), any::<String>()]) {
        if let Ok(Image { digest: Some(_), .. }) = Image::parse(&reference) {
            prop_assert!(ends_in_digest(&reference), "{reference:?}");
        }
    }

    #[test]
    fn a_reference_of_the_grammar_is_taken_apart(parts in reference()) {
        let (domain, path, tag, digest) = parts;
        let mut text = domain.as_ref().map(|domain| format!("{domain}/")).unwrap_or_default() + &path;
        text += &tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        text += &digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        let image = Image::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(image.domain, domain.as_deref());
        prop_assert_eq!(image.path, path);
        prop_assert_eq!(image.tag, tag.as_deref());
        prop_assert_eq!(image.digest, digest.as_deref());
    }

    #[test]
    fn what_is_taken_apart_is_the_whole_text(reference in nearly()) {
        if let Ok(image) = Image::parse(&reference) {
            let mut whole = image.domain.map(|domain| format!("{domain}/")).unwrap_or_default() + image.path;
            whole += &image.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            whole += &image.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
            prop_assert_eq!(whole, reference);
        }
    }
}
