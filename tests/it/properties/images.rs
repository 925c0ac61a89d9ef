//! Image references: no text makes the parser panic, and none passes for pinned that is not.

use portcullis::object::Image;
use proptest::prelude::*;

/// Whether a text ends in `@sha256:` and 64 lower-case hexadecimal digits, said without the parser.
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
