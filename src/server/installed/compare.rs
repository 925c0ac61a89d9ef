//! Compares an installed webhook configuration with the derived one, field by field: one is weaker where it is not certain that it
//! asks at least as much. Pure.

use serde_json::{Value, json};

use super::providers::Provider;
use super::rules::{rules, send_all_of};
use super::selector::Selector;

/// Fields of a webhook that decide what is asked of whom, and what happens when nobody answers.
const FIELDS: [&str; 11] = [
    "rules",
    "namespaceSelector",
    "objectSelector",
    "failurePolicy",
    "matchConditions",
    "matchPolicy",
    "timeoutSeconds",
    "reinvocationPolicy",
    "admissionReviewVersions",
    "clientConfig",
    "sideEffects",
];

/// The installed part, compared with the derived one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It asks at least as much.
    Stronger,
    /// It asks less, or may: of fewer objects, of somebody else, or with less consequence.
    Weaker,
    /// It asks the same in another way.
    Other,
}

/// The part that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The webhook is not installed.
    Missing,
    /// The webhook is not derived.
    Surplus,
    /// A field of it.
    Field(&'static str),
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Name of the webhook.
    pub(super) webhook: String,
    /// The part that differs.
    pub(super) part: Part,
    /// The installed part, compared with the derived one.
    pub(super) relation: Relation,
    /// The provider that made it weaker, alone.
    pub(super) provider: Option<Provider>,
    /// The value that makes it as strong as the derived one: of the field, or of the whole webhook.
    pub(super) repair: Value,
}

/// The address at which the API server reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// As derived.
    Directly,
    /// As derived, with a token at the end of the path, which is not derived.
    WithToken,
    /// At an address that is not known here, such as a URL.
    Elsewhere,
}

/// All differences of an installed object from the derived webhooks.
pub(super) fn differences(object: &Value, wanted: &[Value], reached: Reached) -> Vec<Difference> {
    let have = object["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    for want in wanted {
        let name = name(want);
        match have.iter().find(|have| self::name(have) == name) {
            None => found.push(missing(have, want, reached)),
            Some(have) => {
                let fields = FIELDS.iter().filter(|field| reached != Reached::Elsewhere || **field != "clientConfig");
                found.extend(fields.filter_map(|field| of_field(object, have, want, field, reached)));
            }
        }
    }
    let surplus = have.iter().filter(|have| wanted.iter().all(|want| name(want) != name(have)));
    found.extend(surplus.map(|surplus| Difference {
        webhook: name(surplus).to_owned(),
        part: Part::Surplus,
        relation: Relation::Other,
        provider: None,
        repair: Value::Null,
    }));
    found
}

fn name(webhook: &Value) -> &str {
    webhook["name"].as_str().unwrap_or_default()
}

/// A webhook that is not installed. It is to trust what the others trust.
fn missing(have: &[Value], want: &Value, reached: Reached) -> Difference {
    let bundle = have.iter().find_map(|have| have["clientConfig"].get("caBundle"));
    let bundle = bundle.filter(|_| reached == Reached::Directly);
    let mut repair = want.clone();
    match bundle {
        Some(bundle) => repair["clientConfig"]["caBundle"] = bundle.clone(),
        // Nobody could be asked.
        None => repair = Value::Null,
    }
    Difference {
        webhook: name(want).to_owned(),
        part: Part::Missing,
        relation: Relation::Weaker,
        provider: None,
        repair,
    }
}

fn of_field(object: &Value, have: &Value, want: &Value, field: &'static str, reached: Reached) -> Option<Difference> {
    let webhook = name(want);
    let (installed, derived) = (get(have, field), get(want, field));
    let (relation, provider, repair) = match field {
        "namespaceSelector" | "objectSelector" => {
            let (installed, derived) = (Selector::of(installed), Selector::of(derived));
            let provider = std::cell::Cell::new(None);
            let (added, rest) = installed.split(|one| {
                let by = Provider::of_requirement(object, webhook, field, one);
                provider.set(by.or(provider.get()));
                by.is_some()
            });
            let is_enough = rest.takes_all_of(&derived);
            let provider = provider.get().filter(|_| is_enough && !added.is_empty());
            let relation = order(installed.takes_all_of(&derived), derived.takes_all_of(&installed))?;
            (relation, provider, added.with(&derived))
        }
        "clientConfig" => {
            if address(installed, reached) == address(derived, Reached::Directly) {
                return None;
            }
            // A token that is not known cannot be written.
            let is_known = reached == Reached::Directly;
            (Relation::Weaker, None, if is_known { repair(field, installed, derived) } else { Value::Null })
        }
        _ => {
            let relation = relation(field, installed, derived)?;
            let provider = installed.and_then(|value| Provider::of_value(object, webhook, field, value));
            (relation, provider, repair(field, installed, derived))
        }
    };
    let provider = provider.filter(|_| relation == Relation::Weaker);
    Some(Difference { webhook: webhook.to_owned(), part: Part::Field(field), relation, provider, repair })
}

/// The order of two sets of requests; `None` if they are the same.
fn order(takes_all: bool, takes_no_more: bool) -> Option<Relation> {
    match (takes_all, takes_no_more) {
        (true, true) => None,
        (true, false) => Some(Relation::Stronger),
        (false, _) => Some(Relation::Weaker),
    }
}

fn relation(field: &str, have: Option<&Value>, want: Option<&Value>) -> Option<Relation> {
    let is = |value: Option<&Value>, word: &str| value.and_then(Value::as_str) == Some(word);
    match field {
        "rules" => {
            let (have, want) = (rules(have), rules(want));
            order(send_all_of(&have, &want), send_all_of(&want, &have))
        }
        "matchConditions" => {
            let (have, want) = (expressions(have), expressions(want));
            let holds = |all: &[&str], these: &[&str]| these.iter().all(|one| all.contains(one));
            order(holds(&want, &have), holds(&have, &want))
        }
        // An API server sends the first version that it knows.
        "admissionReviewVersions" => {
            let first = |value: Option<&Value>| value.and_then(|versions| versions.get(0)).cloned();
            (first(have) != first(want)).then_some(Relation::Weaker)
        }
        _ if have == want => None,
        "failurePolicy" => Some(if is(have, "Ignore") { Relation::Weaker } else { Relation::Stronger }),
        "matchPolicy" => Some(if is(have, "Exact") { Relation::Weaker } else { Relation::Stronger }),
        "reinvocationPolicy" => Some(if is(have, "IfNeeded") { Relation::Stronger } else { Relation::Weaker }),
        "timeoutSeconds" => {
            // With `Ignore` an answer that comes too late admits; with `Fail` it refuses what was to be admitted.
            let seconds = |value: Option<&Value>| value.and_then(Value::as_i64).unwrap_or_default();
            Some(if seconds(have) < seconds(want) { Relation::Weaker } else { Relation::Other })
        }
        // Both values that the API has ask about dry runs too.
        _ => Some(Relation::Other),
    }
}

/// The value that makes a field as strong as the derived one. The certificates that are trusted are not ours to judge.
fn repair(field: &str, have: Option<&Value>, want: Option<&Value>) -> Value {
    let mut value = want.cloned().unwrap_or_default();
    if field == "matchConditions" && value.is_null() {
        value = json!([]);
    }
    if let Some(bundle) = have.filter(|_| field == "clientConfig").and_then(|config| config.get("caBundle")) {
        value["caBundle"] = bundle.clone();
    }
    value
}

fn expressions(conditions: Option<&Value>) -> Vec<&str> {
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    conditions.map(|condition| condition["expression"].as_str().unwrap_or_default()).collect()
}

/// The address that a webhook leads to, without a token at the end of its path.
fn address(config: Option<&Value>, reached: Reached) -> (Value, Value) {
    let config = config.cloned().unwrap_or_default();
    let (url, mut service) = (config["url"].clone(), config["service"].clone());
    let path = service["path"].as_str().unwrap_or_default().to_owned();
    if let Some((path, _)) = path.rsplit_once('/').filter(|(path, _)| reached == Reached::WithToken && !path.is_empty())
    {
        service["path"] = path.into();
    }
    (url, service)
}

/// A field of a webhook; an empty selector selects everything, as none does.
fn get<'w>(webhook: &'w Value, name: &str) -> Option<&'w Value> {
    webhook.get(name).filter(|value| value.as_object().is_none_or(|fields| !fields.is_empty()))
}

#[cfg(test)]
mod tests;
