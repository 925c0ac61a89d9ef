# A second opinion on Roles and bindings, for tests/it/corpora/access.rs: one line a place that wildcard-roles, escalating-roles
# or powerful-bindings is to find fault with, as [id, policy, mode, place]. Input: {id, object} a line. It asks whether a
# request would be granted, as an authorizer does, and knows nothing of how the policies do it.

def has($list; $value): ($list // []) | any(. == $value or . == "*");
def on($list; $resource):
  ($list // []) | any(. == $resource or . == "*" or (($resource | contains("/")) and . == ("*/" + ($resource / "/")[1])));
def is_named: ((.resourceNames // []) | length) > 0 and ((.resourceNames // []) | all(. != ""));
def grants($group; $resource; $verb): has(.apiGroups; $group) and on(.resources; $resource) and has(.verbs; $verb);
def impersonates: (.verbs // []) | any(. == "*" or . == "impersonate" or startswith("impersonate:") and . != "impersonate:associated-node");

def takes_on($resource): impersonates and (has(.apiGroups; "") or has(.apiGroups; "authentication.k8s.io")) and on(.resources; $resource);
def takes_on_extra:
  impersonates and (has(.apiGroups; "") or has(.apiGroups; "authentication.k8s.io"))
  and ((.resources // []) | any(. == "*" or . == "userextras" or startswith("userextras/") or startswith("*/")));

def escalates($is_small): . as $rule | any(
  (("roles", "clusterroles") as $roles | ($rule | grants("rbac.authorization.k8s.io"; $roles; "escalate"))),
  (("roles", "clusterroles") as $roles | ($rule | grants("rbac.authorization.k8s.io"; $roles; "bind"))
    and (($rule | is_named | not) or ($rule.resourceNames | any(. == "cluster-admin" or startswith("system:"))))),
  ((any(("users", "groups", "uids") as $who | ($rule | takes_on($who)); .) or ($rule | takes_on_extra))
    and (($rule | is_named | not) or ($rule.resourceNames | any(startswith("system:") or startswith("kubeadm:")
      or IN("kubernetes-admin", "kubernetes-super-admin"))))),
  (($rule | impersonates) and has($rule.apiGroups; "authentication.k8s.io") and on($rule.resources; "nodes")),
  (($rule | (takes_on("serviceaccounts") or grants(""; "serviceaccounts/token"; "create")))
    and (($rule | is_named | not) or ($is_small | not))),
  (($rule.verbs // []) | length > 0) and has($rule.apiGroups; "") and on($rule.resources; "nodes/proxy"),
  (("update", "patch") as $verb | ($rule | grants("certificates.k8s.io"; "certificatesigningrequests/approval"; $verb))),
  (("approve", "sign") as $verb | ($rule | grants("certificates.k8s.io"; "signers"; $verb))
    and (($rule | is_named | not) or ($rule.resourceNames | any(startswith("kubernetes.io/"))))),
  (("validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings") as $kind
    | ("create", "update", "patch", "delete", "deletecollection") as $verb
    | ($rule | grants("admissionregistration.k8s.io"; $kind; $verb))
    and (($rule | is_named | not)
      or (($rule.resourceNames | any(startswith("portcullis"))) and ($rule.verbs | any(IN("delete", "*"))))));
  .);

def wildcards:
  (("apiGroups", "verbs") as $field | (.[$field] // []) | to_entries[] | select(.value == "*") | "\($field)[\(.key)]"),
  ((.resources // []) | to_entries[] | select(.value == "*" or (.value | startswith("*/"))) | "resources[\(.key)]"),
  ((.nonResourceURLs // []) | to_entries[] | select(.value | test("^/?[*]+$")) | "nonResourceURLs[\(.key)]");

def of_role($kind; $namespace):
  ((.rules // []) | to_entries[] | .key as $at | .value
    | ("wildcard-roles\tenforce\trules[\($at)].\(wildcards)"),
      (if escalates($kind == "Role" and $namespace != "kube-system") then "escalating-roles\tenforce\trules[\($at)]"
       elif $kind == "ClusterRole" and (is_named | not) and (("get", "list", "watch") as $verb | grants(""; "secrets"; $verb))
       then "escalating-roles\twarn\trules[\($at)]" else empty end)),
  ((.aggregationRule.clusterRoleSelectors // []) | to_entries[] | .key as $at | .value
    | select((.matchExpressions // []) | length == 0)
    | ((.matchLabels // {}) | to_entries | map(select((.key == "kubernetes.io/bootstrapping" and .value == "rbac-defaults") | not))) as $others
    | if $others == [] then "enforce"
      elif any(("admin", "edit") as $what
        | $others | all(.key == "rbac.authorization.k8s.io/aggregate-to-" + $what and .value == "true"); .) then "warn"
      else empty end
    | "escalating-roles\t\(.)\taggregationRule.clusterRoleSelectors[\($at)]");

def of_binding($kind; $namespace):
  .roleRef as $role
  | ((.subjects // []) | to_entries[] | .key as $at | .value
    | select(
        ((.kind != "ServiceAccount" and (.name | IN("system:masters", "system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts")))
          or ($role.kind == "ClusterRole" and $role.name == "cluster-admin"))
        and ((.kind == "Group" and .name == "kubeadm:cluster-admins") | not)
        and ((.kind == "User" and .name == "system:anonymous" and $role.kind == "Role" and $namespace == "kube-public"
          and $role.name == "kubeadm:bootstrap-signer-clusterinfo") | not))
    | "powerful-bindings\tenforce\tsubjects[\($at)].name"),
  (select($kind == "ClusterRoleBinding" and $role.kind == "ClusterRole" and ($role.name | IN("admin", "edit"))
      and ((.subjects // []) | length > 0))
    | "powerful-bindings\twarn\troleRef.name");

.id as $id | .namespace as $namespace | .object
| select((.apiVersion // "") | startswith("rbac.authorization.k8s.io/"))
| .kind as $kind
| (if $kind == "Role" or $kind == "ClusterRole" then of_role($kind; $namespace)
   elif $kind == "RoleBinding" or $kind == "ClusterRoleBinding" then of_binding($kind; $namespace) else empty end)
| "\($id)\t\(.)"
