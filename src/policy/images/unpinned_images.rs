//! `unpinned-images`: every image is named by its digest.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::{Image, Malformed};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Digits after which a digest that repeats itself is no accident: one of 2^128 does.
const LONGEST_REPEATED: usize = 32;
/// Different digits that a digest has at least; one of 2^117 has fewer.
const FEWEST_DIGITS: usize = 5;
/// SHA-256 of nothing at all, which is what tools print that were given no image.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnpinnedImages {}

impl Policy for UnpinnedImages {
    const META: &'static Meta = &Meta {
        id: "unpinned-images",
        title: "an image that is not pinned by digest",
        severity: Severity::High,
        since: "0.1.0",
        why: "A tag is a name that whoever can push may move: the image that was scanned and the image that starts \
              need not be the same. A digest names its content.",
        fix: "name the image by its digest, NAME:TAG@sha256:DIGEST, as `crane digest NAME:TAG` prints it",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of_containers(&["image"])
                .allow(&[Allowed::Words("a reference that ends in `@sha256:` and 64 hexadecimal digits")]),
            Fields::of(&["spec.volumes[*].image.reference"])
                .allow(&[Allowed::Words("a reference that ends in `@sha256:` and 64 hexadecimal digits")]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for UnpinnedImages {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for image in request.images() {
            let shown = quoted(image.reference);
            match Image::parse(image.reference) {
                Ok(Image { digest: Some(digest), .. }) if is_placeholder(digest) => {
                    let message = format!("must end in the digest of an image: {shown} ends in a placeholder");
                    report.add(image.place, message);
                }
                Ok(Image { digest: Some(_), .. }) => {}
                Ok(parsed) => {
                    let what = match parsed.tag {
                        Some("latest") => "names the tag latest, which moves",
                        Some(_) => "names a tag, which can move",
                        None => "names no tag, which means latest",
                    };
                    report.add(image.place, format_args!("must end in a digest: {shown} {what}"));
                }
                Err(Malformed::Empty) => report.add(image.place, "must name an image by its digest"),
                Err(error @ Malformed::Digest) => {
                    report.add(image.place, format_args!("must end in a digest: {shown} {error}"));
                }
                Err(error) => report.add(image.place, format_args!("must be an image with a digest: {shown} {error}")),
            }
        }
        Ok(())
    }
}

/// True for a digest that somebody made up, as templates do: zeros, one sequence of digits repeated, or the digest of nothing.
fn is_placeholder(digest: &str) -> bool {
    let digits = digest.rsplit(':').next().unwrap_or_default().as_bytes();
    let repeats = |length: usize| digits.len() > length && digits[length..] == digits[..digits.len() - length];
    let different = (b'0'..=b'f').filter(|digit| digits.contains(digit)).count();
    digits == OF_NOTHING.as_bytes() || different < FEWEST_DIGITS || (1..=LONGEST_REPEATED).any(repeats)
}

#[cfg(test)]
mod tests {
    use super::is_placeholder;
    use crate::digest::sha256;

    #[test]
    fn a_digest_that_somebody_made_up_is_a_placeholder() {
        let made_up = [
            "0".repeat(64),
            "f".repeat(64),
            "a".repeat(64),
            "0".repeat(63) + "1",
            "1".to_owned() + &"0".repeat(63),
            "deadbeef".repeat(8),
            "0123456789abcdef".repeat(4),
            "1234567890".repeat(7)[..64].to_owned(),
            "0123456789abcdef0123456789abcdef".repeat(2),
            "abc".repeat(22)[..64].to_owned(),
            sha256(b""),
        ];
        for digits in made_up {
            assert!(is_placeholder(&format!("sha256:{digits}")), "{digits}");
        }
    }

    #[test]
    fn the_digest_of_something_is_none() {
        for number in 0..10_000_u32 {
            let digits = sha256(&number.to_be_bytes());
            assert!(!is_placeholder(&format!("sha256:{digits}")), "{digits}");
        }
    }
}
