//! Names of users, groups, ServiceAccounts and namespaces that settings list. Each is exact, and none stands for everybody.

use std::collections::{BTreeSet, HashSet};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::{Text, is_label};
use crate::policy::quoted;
use crate::request::User;
use crate::steps::counted;

/// Groups that everybody is in, or everybody who is not logged in, and users that stand for such.
const EVERYBODY: [&str; 3] = ["system:authenticated", "system:unauthenticated", "system:anonymous"];
/// The group that every ServiceAccount is in.
const ACCOUNTS: &str = "system:serviceaccounts";
/// Beginning of the user name of a ServiceAccount.
const ACCOUNT: &str = "system:serviceaccount:";

/// Groups of users.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub(crate) struct Groups(HashSet<String>);

/// Names of users.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub(crate) struct Users(HashSet<String>);

/// Names of namespaces.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub(crate) struct Namespaces(BTreeSet<String>);

/// ServiceAccounts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Account>")]
#[schemars(with = "Vec<Account>")]
pub(crate) struct Accounts(HashSet<String>);

/// A ServiceAccount.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Account {
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
}

impl Groups {
    /// These groups.
    pub(crate) fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// Adds groups.
    pub(crate) fn add(&mut self, names: &[String]) {
        self.0.extend(names.iter().cloned());
    }

    /// True if one of a user's groups is named.
    pub(crate) fn hold_one_of(&self, groups: &[Text<'_>]) -> bool {
        self.first_of(groups).is_some()
    }

    /// The first of a user's groups that is named.
    pub(crate) fn first_of<'u>(&self, groups: &'u [Text<'_>]) -> Option<&'u str> {
        let groups = if self.0.is_empty() { &[] } else { groups };
        counted(groups.iter()).map(Text::as_str).find(|group| self.0.contains(*group))
    }
}

impl Users {
    /// True if the user is named.
    pub(crate) fn hold(&self, user: &str) -> bool {
        self.0.contains(user)
    }
}

impl Namespaces {
    /// The names.
    pub(crate) fn names(&self) -> &BTreeSet<String> {
        &self.0
    }

    /// True if the namespace is named.
    pub(crate) fn hold(&self, namespace: &str) -> bool {
        self.0.contains(namespace)
    }
}

impl Accounts {
    /// True if the user is one of the ServiceAccounts.
    pub(crate) fn hold(&self, user: &str) -> bool {
        self.0.contains(user)
    }
}

/// True if a user is named, is one of the ServiceAccounts, or is in one of the groups.
pub(crate) fn name_user(user: &User<'_>, users: &Users, accounts: &Accounts, groups: &Groups) -> bool {
    users.hold(user.name())
        || accounts.hold(user.name())
        || groups.hold_one_of(user.groups.as_deref().unwrap_or_default())
}

impl TryFrom<Vec<String>> for Groups {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        if names.iter().any(|name| name == ACCOUNTS) {
            return Err(format!(
                "{} must not be listed, every ServiceAccount is in it: list some of them in serviceAccounts, or the group \
                 {ACCOUNTS}:NAMESPACE of one namespace",
                quoted(ACCOUNTS)
            ));
        }
        names.iter().try_for_each(|name| exact(name, "the name of a group"))?;
        Ok(Self(names.into_iter().collect()))
    }
}

impl TryFrom<Vec<String>> for Users {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        names.iter().try_for_each(|name| exact(name, "the name of a user"))?;
        Ok(Self(names.into_iter().collect()))
    }
}

impl TryFrom<Vec<String>> for Namespaces {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        names.iter().try_for_each(|name| label(name, "the name of a namespace"))?;
        Ok(Self(names.into_iter().collect()))
    }
}

impl TryFrom<Vec<Account>> for Accounts {
    type Error = String;

    fn try_from(accounts: Vec<Account>) -> Result<Self, String> {
        for Account { namespace, name } in &accounts {
            label(namespace, "the name of a namespace")?;
            name.split('.').try_for_each(|part| label(part, "the parts of the name of a ServiceAccount"))?;
        }
        Ok(Self(
            accounts.into_iter().map(|Account { namespace, name }| format!("{ACCOUNT}{namespace}:{name}")).collect(),
        ))
    }
}

/// Refuses a name that stands for everybody, or could be meant for many.
fn exact(name: &str, what: &str) -> Result<(), String> {
    if EVERYBODY.contains(&name) {
        return Err(format!("{} must not be listed: it stands for everybody", quoted(name)));
    }
    if name.trim().is_empty() || name.trim() != name || name.contains('*') {
        return Err(format!("{} must be {what}, whole: patterns are not read", quoted(name)));
    }
    Ok(())
}

/// Refuses what cannot be a DNS label (RFC 1123).
fn label(name: &str, what: &str) -> Result<(), String> {
    if is_label(name) { Ok(()) } else { Err(format!("{} must be {what}, whole: patterns are not read", quoted(name))) }
}
