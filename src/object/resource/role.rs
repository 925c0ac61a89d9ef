//! The fields of a Role and of a ClusterRole that policies read, and what a rule grants.
//!
//! Matching is that of the RBAC authorizer (`K/pkg/apis/rbac/v1/evaluation_helpers.go`): `*` is every group, verb or resource, and
//! `*/scale` the subresource `scale` of every resource; `pods/*` matches nothing.

use serde::Deserialize;

use crate::object::list::List;
use crate::object::mapping;
use crate::object::resource::LabelSelector;
use crate::object::text::Text;
use crate::steps::counted;

/// Every group, verb or resource.
const ALL: &str = "*";

/// A Role.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Role<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    rules: List<Rule<'a>>,
}

impl<'a> Role<'a> {
    /// `rules`
    pub fn rules(&self) -> impl Iterator<Item = &Rule<'a>> {
        counted(self.rules.iter())
    }
}

/// A ClusterRole.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterRole<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    rules: List<Rule<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    aggregation_rule: Option<Aggregation<'a>>,
}

impl<'a> ClusterRole<'a> {
    /// `rules`
    pub fn rules(&self) -> impl Iterator<Item = &Rule<'a>> {
        counted(self.rules.iter())
    }

    /// `aggregationRule`
    pub fn aggregation_rule(&self) -> Option<&Aggregation<'a>> {
        self.aggregation_rule.as_ref()
    }
}

/// A rule: verbs on resources, or on non-resource URLs.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Rule<'a> {
    #[serde(borrow, deserialize_with = "mapping::texts")]
    verbs: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    api_groups: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    resources: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    resource_names: List<Text<'a>>,
    #[serde(rename = "nonResourceURLs", borrow, deserialize_with = "mapping::texts")]
    non_resource_urls: List<Text<'a>>,
}

impl Rule<'_> {
    /// `verbs`
    pub fn verbs(&self) -> impl Iterator<Item = &str> {
        counted(self.verbs.iter()).map(Text::as_str)
    }

    /// `apiGroups`
    pub fn api_groups(&self) -> impl Iterator<Item = &str> {
        counted(self.api_groups.iter()).map(Text::as_str)
    }

    /// `resources`
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        counted(self.resources.iter()).map(Text::as_str)
    }

    /// `nonResourceURLs`
    pub fn non_resource_urls(&self) -> impl Iterator<Item = &str> {
        counted(self.non_resource_urls.iter()).map(Text::as_str)
    }

    /// `resourceNames`, as written.
    pub fn resource_names(&self) -> impl Iterator<Item = &str> {
        counted(self.resource_names.iter()).map(Text::as_str)
    }

    /// The names that the rule is limited to; `None` if it holds for every name. An empty name among them matches requests without
    /// one, such as those to list all.
    pub fn limit(&self) -> Option<impl Iterator<Item = &str>> {
        let is_limited = !self.resource_names.is_empty() && self.resource_names().all(|name| !name.is_empty());
        is_limited.then(|| self.resource_names())
    }

    /// True if the rule grants all that another one grants on that verb of that resource, or URL.
    pub fn covers(&self, atom: &Atom<'_>) -> bool {
        let has = |list: &List<Text<'_>>, wanted: &str| list.iter().any(|item| *item == *wanted || *item == *ALL);
        if !has(&self.verbs, atom.verb) {
            return false;
        }
        match atom.on {
            On::Url(url) => self.non_resource_urls.iter().any(|own| is_url_within(own, url)),
            On::Resource { group, resource, name } => {
                let covers_name = self.resource_names.is_empty()
                    || name.is_some_and(|name| self.resource_names.iter().any(|own| *own == *name));
                covers_name && has(&self.api_groups, group) && self.resources.iter().any(|own| is_in(own, resource))
            }
        }
    }

    /// Number of comparisons that [`Self::covers`] takes at most.
    pub fn size(&self) -> usize {
        let lists = [&self.verbs, &self.api_groups, &self.resources, &self.resource_names, &self.non_resource_urls];
        1 + lists.iter().map(|list| list.len()).sum::<usize>()
    }

    /// Everything that the rule grants, one verb of one resource or URL at a time.
    pub fn atoms(&self) -> impl Iterator<Item = Atom<'_>> {
        let names = move || {
            let all = self.resource_names.is_empty().then_some(None);
            all.into_iter().chain(self.resource_names.iter().map(|name| Some(name.as_str())))
        };
        let on_resources = self.api_groups.iter().flat_map(move |group| {
            self.resources.iter().flat_map(move |resource| {
                names().map(move |name| On::Resource { group: group.as_str(), resource: resource.as_str(), name })
            })
        });
        let on_urls = self.non_resource_urls.iter().map(|url| On::Url(url.as_str()));
        on_resources.chain(on_urls).flat_map(|on| self.verbs.iter().map(move |verb| Atom { verb: verb.as_str(), on }))
    }
}

/// One verb of one resource, or of one URL.
#[derive(Debug, Clone, Copy)]
pub struct Atom<'r> {
    verb: &'r str,
    on: On<'r>,
}

/// The object of a verb.
#[derive(Debug, Clone, Copy)]
enum On<'r> {
    Resource { group: &'r str, resource: &'r str, name: Option<&'r str> },
    Url(&'r str),
}

/// True if a rule on `own` is one on `resource` too (`resourceCoversAll` of `k8s.io/component-helpers`).
fn is_in(own: &str, resource: &str) -> bool {
    let of_every = || own.strip_prefix("*/").zip(resource.split_once('/')).is_some_and(|(own, (_, sub))| own == sub);
    own == ALL || own == resource || of_every()
}

/// True if a rule on the URL `own` is one on `url` too.
fn is_url_within(own: &str, url: &str) -> bool {
    own == url || own.ends_with('*') && url.starts_with(own.trim_end_matches('*'))
}

/// The ClusterRoles from which an aggregated one takes its rules.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Aggregation<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    cluster_role_selectors: List<LabelSelector<'a>>,
}

impl<'a> Aggregation<'a> {
    /// `clusterRoleSelectors`
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &LabelSelector<'a>> {
        counted(self.cluster_role_selectors.iter())
    }
}
