//! `plaintext-connections`: connections to databases and brokers are encrypted.
//!
//! URLs are parsed (`plaintext_connections/url.rs`), and so are the other forms of a data source: keywords and values of libpq,
//! connection strings with semicolons, data source names of Go (`plaintext_connections/keywords.rs`). Each family of clients has
//! its own parameters, and its own default (`plaintext_connections/family.rs`). A client that takes TLS where the server offers
//! it, and plaintext where it does not, does not encrypt: whoever sits between them decides.
//!
//! A reference (`$(NAME)`) stands for the part of a URL that it is all of: a user, a host, the name of a database. It is looked up
//! among the variables of the container. One that could hold parameters, as in `postgres://db/shop$(SUFFIX)`, is not
//! guessed at. Connections to the Pod itself are left alone.

mod family;
mod host;
mod kafka;
mod keywords;
mod known;
mod scan;
mod url;

use schemars::JsonSchema;
use serde::Deserialize;

use self::known::Known;
use crate::facts::{Facts, Pending};
use crate::object::resource::CONFIG_MAPS;
use crate::policy::texts::{self, Held};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;
use crate::steps;

/// Bytes of text for which one step is taken.
const STEP: usize = 16;

/// Values that the policy allows.
const CONNECTIONS: &str = "text without a plaintext connection to another host; a reference is looked up among the variables of the \
     container, and what may hold parameters, such as `postgres://db/shop$(SUFFIX)`, is not guessed at";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaintextConnections {}

impl Policy for PlaintextConnections {
    const META: &'static Meta = &Meta {
        id: "plaintext-connections",
        title: "a connection to a database or a broker that is not encrypted",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Whoever sees the packets of a plaintext connection reads passwords and data, and may change both. A client that only \
              prefers TLS is kept from it by whoever sits between it and the server.",
        fix: "demand TLS, for example by sslmode=verify-full (PostgreSQL), tls=true (MySQL, MongoDB), encrypt=true (SQL Server), \
              security.protocol=SASL_SSL (Kafka), or the schemes rediss, amqps, ldaps and https",
        kinds: &[Kinds::Pods, Kinds::Resource(CONFIG_MAPS)],
        fields: &[
            Fields::of_containers(&["env[*].value", "command", "args"])
                .allow(&[Allowed::Absent, Allowed::Words(CONNECTIONS)]),
            Fields::of(&["metadata.annotations", "data", "binaryData"]).allow(&[Allowed::Words(CONNECTIONS)]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for PlaintextConnections {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        texts::each(request, |found| {
            let known = Known::new(found.container);
            let named = found.held.meaning().and_then(|name| scan::named(name, found.value, &known));
            let Some(kind) = named.or_else(|| text(found.value, &known)) else { return };
            match found.held {
                Held::Word(_) => report.add(found.spot, format_args!("must demand TLS: it holds {kind}")),
                Held::Variable(name) | Held::Annotation(name) | Held::Entry(name) => {
                    report.add(found.spot, format_args!("must demand TLS: the value of {} holds {kind}", quoted(name)));
                }
            }
        });
        Ok(())
    }
}

/// The kind of the first plaintext connection in a text.
fn text(text: &str, known: &Known<'_>) -> Option<&'static str> {
    let steps = u32::try_from(text.len() / STEP).unwrap_or(u32::MAX);
    steps::take(steps).then(|| scan::first(text, known)).flatten()
}
