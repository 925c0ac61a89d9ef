//! Reads the fields, above all the uid, of a review that is invalid as a whole.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::decode::V1BETA1;
use super::{NoUid, Review};
use crate::object::Text;
use crate::request::{Kind, Operation, Request, Resource, Source, User};

/// The fields of an invalid review.
#[derive(Default)]
struct Salvaged {
    api_version: String,
    kind: String,
    has_request: bool,
    uid: String,
    request_kind: [String; 3],
    resource: [String; 3],
    subresource: String,
    name: String,
    namespace: String,
    operation: String,
    username: String,
}

/// Reads as much of an invalid review as possible. `error` is the reason why it is invalid.
pub(super) fn salvage(
    bytes: &[u8],
    received: Timestamp,
    error: Option<&serde_json::Error>,
) -> Result<Review<'static>, NoUid> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Salvaged::default();
    // The same error occurs again here; the fields before it are kept.
    let _ = Top(&mut found).deserialize(&mut serde_json::Deserializer::from_str(&text));

    let is_v1beta1 = found.api_version == V1BETA1;
    let message = if is_v1beta1 {
        "this is admission.k8s.io/v1beta1; send admission.k8s.io/v1 (admissionReviewVersions: [v1])".to_owned()
    } else if !found.kind.is_empty() && found.kind != "AdmissionReview" {
        "not an AdmissionReview".to_owned()
    } else if !found.has_request {
        match error {
            Some(error) if error.is_syntax() || error.is_eof() => "not JSON; send an AdmissionReview".to_owned(),
            _ => "not an AdmissionReview: it has no request".to_owned(),
        }
    } else {
        match error {
            Some(error) if error.is_syntax() || error.is_eof() || !found.uid.is_empty() => {
                format!("the review cannot be read: {}", describe(error))
            }
            _ if found.uid.is_empty() => "the review has no uid that can be read".to_owned(),
            _ => "not an AdmissionReview of admission.k8s.io/v1".to_owned(),
        }
    };
    if found.uid.is_empty() {
        return Err(NoUid { message });
    }
    let [group, version, kind] = found.request_kind.map(Text::from);
    let [resource_group, resource_version, resource] = found.resource.map(Text::from);
    Ok(Review {
        request: Request {
            uid: found.uid.into(),
            operation: match found.operation.as_str() {
                "UPDATE" => Operation::Update,
                "DELETE" => Operation::Delete,
                "CONNECT" => Operation::Connect,
                _ => Operation::Create,
            },
            kind: Kind { group, version, kind },
            resource: Resource { group: resource_group, version: resource_version, resource },
            subresource: found.subresource.into(),
            name: found.name.into(),
            namespace: found.namespace.into(),
            user: User { username: Some(found.username.into()), ..User::default() },
            dry_run: false,
            received,
            source: Source::ApiServer,
            object: None,
            sent: None,
            old: None,
            options: None,
        },
        unreadable: Some(message),
        is_v1beta1,
    })
}

/// Kind and position of an error; its own text may quote the request.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Io => "reading failed",
        serde_json::error::Category::Syntax => "broken JSON",
        serde_json::error::Category::Data => "a field is missing, repeated or of the wrong type",
        serde_json::error::Category::Eof => "it ends too early",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

struct Top<'s>(&'s mut Salvaged);
struct Inner<'s>(&'s mut Salvaged);
struct Triple<'s>(&'s mut [String; 3], &'static str);
struct UserName<'s>(&'s mut String);

/// A string; empty for a value of another type.
struct Lenient(String);

macro_rules! visit_fields {
    ($seed:ident, $self:ident, $map:ident, $key:ident, { $($name:pat $(if $guard:expr)? => $read:expr),+ $(,)? }) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }
        impl<'de> Visitor<'de> for $seed<'_> {
            type Value = ();

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            // A value that is not an object is skipped, and reading continues after it.
            fn visit_bool<E>(self, _: bool) -> Result<(), E> {
                Ok(())
            }
            fn visit_i64<E>(self, _: i64) -> Result<(), E> {
                Ok(())
            }
            fn visit_u64<E>(self, _: u64) -> Result<(), E> {
                Ok(())
            }
            fn visit_f64<E>(self, _: f64) -> Result<(), E> {
                Ok(())
            }
            fn visit_str<E>(self, _: &str) -> Result<(), E> {
                Ok(())
            }
            fn visit_unit<E>(self) -> Result<(), E> {
                Ok(())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }
            fn visit_map<A: MapAccess<'de>>($self, mut $map: A) -> Result<(), A::Error> {
                while let Some($key) = $map.next_key::<String>()? {
                    match $key.as_str() {
                        $($name $(if $guard)? => $read,)+
                        _ => drop($map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(())
            }
        }
    };
}

visit_fields!(Top, self, map, key, {
    "apiVersion" => self.0.api_version = map.next_value::<Lenient>()?.0,
    "kind" => self.0.kind = map.next_value::<Lenient>()?.0,
    "request" => { self.0.has_request = true; map.next_value_seed(Inner(self.0))? },
});

visit_fields!(Inner, self, map, key, {
    "uid" => self.0.uid = map.next_value::<Lenient>()?.0,
    "kind" => map.next_value_seed(Triple(&mut self.0.request_kind, "kind"))?,
    "resource" => map.next_value_seed(Triple(&mut self.0.resource, "resource"))?,
    "subResource" => self.0.subresource = map.next_value::<Lenient>()?.0,
    "name" => self.0.name = map.next_value::<Lenient>()?.0,
    "namespace" => self.0.namespace = map.next_value::<Lenient>()?.0,
    "operation" => self.0.operation = map.next_value::<Lenient>()?.0,
    "userInfo" => map.next_value_seed(UserName(&mut self.0.username))?,
});

visit_fields!(Triple, self, map, key, {
    "group" => self.0[0] = map.next_value::<Lenient>()?.0,
    "version" => self.0[1] = map.next_value::<Lenient>()?.0,
    last if last == self.1 => self.0[2] = map.next_value::<Lenient>()?.0,
});

visit_fields!(UserName, self, map, key, {
    "username" => *self.0 = map.next_value::<Lenient>()?.0,
});

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Lenient;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("anything")
            }
            fn visit_str<E>(self, value: &str) -> Result<Lenient, E> {
                Ok(Lenient(value.to_owned()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Lenient, E> {
                Ok(Lenient(String::new()))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Lenient, E> {
                Ok(Lenient(String::new()))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Lenient, E> {
                Ok(Lenient(String::new()))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Lenient, E> {
                Ok(Lenient(String::new()))
            }
            fn visit_unit<E>(self) -> Result<Lenient, E> {
                Ok(Lenient(String::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Lenient, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Lenient(String::new()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lenient, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Lenient(String::new()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::salvage;

    #[test]
    fn the_uid_is_found_behind_fields_of_any_other_type() {
        for other in ["5", "-1", "1.5", "true", "null", "\"x\"", "[[1], {}]", "{\"a\": {}}"] {
            let request = format!(r#"{{"kind": {other}, "resource": {other}, "userInfo": {other}, "uid": "u"}}"#);
            let bytes = format!(r#"{{"apiVersion": {other}, "request": {request}}}"#);
            let review = salvage(bytes.as_bytes(), Timestamp::UNIX_EPOCH, None);
            assert_eq!(review.ok().map(|review| review.request.uid.to_string()).as_deref(), Some("u"), "{other}");
        }
    }
}
