//! `interactive-access`: only those whom the settings list open shells, port-forwards and proxies to what runs.
//!
//! Shells, port-forwards and proxies are CONNECT requests, of which an API server sends the options; a debugging container
//! is an update of a Pod. Who may is told by namespace, group, user and ServiceAccount, each by its exact name: an API
//! server vouches for all of them, and for nothing else in such a request.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{
    EPHEMERAL_CONTAINERS, NODE_PROXY, POD_ATTACH, POD_EXEC, POD_PORT_FORWARD, POD_PROXY, SERVICE_PROXY,
};
use crate::object::{Container, ContainerList, Place, Workloads};
use crate::policy::names::{Accounts, Groups, Namespaces, Users, name_user};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::{Operation, Request};

/// Settings: who may. Without any, nobody may.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct InteractiveAccess {
    /// Namespaces in which everybody may.
    namespaces: Namespaces,
    /// Groups whose members may.
    groups: Groups,
    /// Users who may.
    users: Users,
    /// ServiceAccounts that may, such as those of CI runners and of backup tools.
    service_accounts: Accounts,
    /// Strongest mode of a finding on `nodes/proxy`. Nodes are in no namespace, so with `enforce` no namespace is spared.
    nodes: Nodes,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Nodes {
    #[default]
    Warn,
    Enforce,
}

impl Policy for InteractiveAccess {
    const META: &'static Meta = &Meta {
        id: "interactive-access",
        title: "an exec, attach, port-forward, proxy or ephemeral container by somebody whom the settings do not list",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Whoever runs commands in a container reads its secrets and changes what nobody reviewed. Shell access is \
              privileged access, left to few and recorded.",
        fix: "ask a member of a group of the settings, or add a group, user, ServiceAccount or namespace to them; \
              deploy/access.md describes them",
        kinds: &[
            Kinds::Resource(EPHEMERAL_CONTAINERS),
            Kinds::Resource(POD_EXEC),
            Kinds::Resource(POD_ATTACH),
            Kinds::Resource(POD_PORT_FORWARD),
            Kinds::Resource(POD_PROXY),
            Kinds::Resource(SERVICE_PROXY),
            Kinds::Resource(NODE_PROXY),
        ],
        fields: &[Fields::of_ephemeral_containers(&["name"])
            .allow(&[Allowed::Words("the names of those that the Pod has already")])],
        changes: &[],
        controls: &[Control {
            standard: "NSA/CISA Kubernetes Hardening Guidance",
            name: "Authentication and authorization",
        }],
    };
}

impl Validator for InteractiveAccess {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if self.allows(request) {
            return Ok(());
        }
        let who = quoted(request.user.name());
        if request.operation == Operation::Connect {
            let does = match (&*request.resource.resource, &*request.subresource) {
                (_, "exec") => "runs a command in a container",
                (_, "attach") => "attaches to a container",
                (_, "portforward") => "forwards ports",
                ("nodes", _) => "sends a request to a kubelet",
                _ => "sends a request through the API server",
            };
            report.add(
                Place::object(),
                format_args!("must come from a user, group or ServiceAccount that the settings list: {who} {does}"),
            );
            return Ok(());
        }
        for container in added(request) {
            let name = quoted(container.name());
            let message = format_args!(
                "must come from a user, group or ServiceAccount that the settings list: {who} adds container {name}"
            );
            report.add(container.at("name"), message);
        }
        Ok(())
    }

    fn only_warns(&self, kinds: Kinds) -> bool {
        kinds == Kinds::Resource(NODE_PROXY) && self.nodes == Nodes::Warn
    }
}

impl InteractiveAccess {
    /// True if the settings list the user, or the namespace.
    fn allows(&self, request: &Request<'_>) -> bool {
        let user = &request.user;
        self.namespaces.hold(&request.namespace) || name_user(user, &self.users, &self.service_accounts, &self.groups)
    }
}

/// The ephemeral containers that the old object does not have. If that cannot be read, all of them.
fn added<'r, 'a>(request: &'r Request<'a>) -> impl Iterator<Item = Container<'r, 'a>> {
    let is_ephemeral = |container: &Container<'_, '_>| container.list() == ContainerList::Ephemeral;
    let before = request.before(Workloads::built_in()).ok().flatten();
    let known: HashSet<String> = before.iter().flat_map(Request::containers).filter(is_ephemeral).map(name).collect();
    request.containers().filter(is_ephemeral).filter(move |container| !known.contains(container.name()))
}

fn name(container: Container<'_, '_>) -> String {
    container.name().to_owned()
}
