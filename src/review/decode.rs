//! Decodes an AdmissionReview into a [`Request`].

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::salvage::salvage;
use super::{NoUid, Review};
use crate::object::mapping::{self, Mapping};
use crate::object::memory::Limit;
use crate::object::{Object, Shape, Text, Workloads};
use crate::request::{Kind, Operation, Request, Resource, Source, User};

const V1: &str = "admission.k8s.io/v1";
pub(super) const V1BETA1: &str = "admission.k8s.io/v1beta1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "mapping::one")]
    request: WireRequest<'a>,
}

/// The fields of an `AdmissionRequest` that are used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest<'a> {
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow, deserialize_with = "mapping::one")]
    kind: Kind<'a>,
    #[serde(borrow, deserialize_with = "mapping::one")]
    resource: Resource<'a>,
    #[serde(borrow)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    operation: Operation,
    #[serde(borrow, default, deserialize_with = "mapping::optional")]
    user_info: Option<User<'a>>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    old_object: Option<&'a RawValue>,
    dry_run: Option<bool>,
    #[serde(borrow)]
    options: Option<&'a RawValue>,
}

/// Reads a review. Errors other than a missing uid are reported in [`Review::unreadable`].
///
/// # Errors
/// [`NoUid`] if no uid can be read, so that the API server could not match a response.
pub fn decode<'a>(bytes: &'a [u8], workloads: &Workloads, received: Timestamp) -> Result<Review<'a>, NoUid> {
    let limit = Limit::of(bytes.len());
    let envelope: Envelope<'a> = match serde_json::from_slice(bytes) {
        Ok(Mapping(envelope)) => envelope,
        Err(error) => return salvage(bytes, received, Some(&error)),
    };
    if envelope.kind != "AdmissionReview" || envelope.api_version != V1 || envelope.request.uid.is_empty() {
        return salvage(bytes, received, None);
    }
    drop(limit);
    let wire = envelope.request;
    let mut review = Review {
        request: Request {
            uid: wire.uid,
            operation: wire.operation,
            kind: wire.kind,
            resource: wire.resource,
            subresource: wire.sub_resource.unwrap_or_default(),
            name: wire.name.unwrap_or_default(),
            namespace: wire.namespace.unwrap_or_default(),
            user: wire.user_info.unwrap_or_default(),
            dry_run: wire.dry_run.unwrap_or(false),
            received,
            source: Source::ApiServer,
            object: None,
            sent: wire.object,
            old: wire.old_object,
            options: wire.options,
        },
        unreadable: None,
        is_v1beta1: false,
    };
    let request = &mut review.request;
    if request.is_unread() {
        return Ok(review);
    }
    if let Some(raw) = wire.object {
        let old = request.old.filter(|_| request.operation == Operation::Update);
        match Object::read_beside(raw, old, workloads.shape(&request.kind.group, &request.kind.kind)) {
            Ok(object) => request.object = Some(object),
            Err(error) => review.unreadable = Some(format!("the object is not what its kind says: {error}")),
        }
    } else if request.operation != Operation::Delete {
        review.unreadable = Some("the review has no object".to_owned());
    } else if request.name.is_empty()
        && let Some(Ok(old)) = request.old.map(|old| Object::read(old, Shape::Metadata))
    {
        // The deletion of a collection names none of its objects.
        request.name = old.metadata().name().to_owned().into();
    }
    Ok(review)
}

/// The review in a body that was not read to its end; `head` is the part that was read, `why` the reason for stopping.
///
/// # Errors
/// [`NoUid`] if the uid is not in `head`.
pub fn partial(head: &[u8], received: Timestamp, why: &str) -> Result<Review<'static>, NoUid> {
    let mut review = salvage(head, received, None)?;
    review.unreadable = Some(why.to_owned());
    Ok(review)
}
