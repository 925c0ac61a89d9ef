//! `unpinned-images`: every image is named by its digest.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::{Image, Malformed};
use crate::policy::{Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "unpinned-images",
    title: "an image that is not pinned by digest",
    severity: Severity::High,
    since: "0.1.0",
    why: "A tag is a name that whoever can push may move: the image that was scanned and the image that starts need \
          not be the same. A digest names its content.",
    fix: "name the image by its digest: NAME:TAG@sha256:DIGEST (`crane digest NAME:TAG` prints it)",
    fields: &[
        "spec.containers[*].image",
        "spec.initContainers[*].image",
        "spec.ephemeralContainers[*].image",
        "spec.volumes[*].image.reference",
    ],
    controls: &[],
};

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnpinnedImages {}

impl Policy for UnpinnedImages {
    const META: &'static Meta = &META;
}

impl Validator for UnpinnedImages {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for image in request.images() {
            let shown = quoted(image.reference);
            match Image::parse(image.reference) {
                Ok(Image { digest: Some(_), .. }) => {}
                Ok(parsed) => {
                    let what = match parsed.tag {
                        Some("latest") => "names the tag latest, which moves",
                        Some(_) => "names a tag, which can move",
                        None => "names no tag, which means latest",
                    };
                    // Written out only where the finding is kept.
                    let message = fmt::from_fn(|out| {
                        let example = format!("{}@sha256:<digest>", image.reference);
                        write!(out, "must end in a digest: {shown} {what}; write {}", quoted(&example))
                    });
                    report.add(image.place, message);
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
