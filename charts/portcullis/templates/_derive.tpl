{{/*
The webhooks of a configuration, as `portcullis webhooks` derives them (src/webhooks.rs). files/policies.json holds what the
program knows of its policies, profiles and kinds. A test compares both for many configurations.
*/}}

{{/* Fills `out` of (root, out): `validating` and `mutating`, lists of webhooks. */}}
{{- define "portcullis.derive" -}}
{{- $out := .out -}}
{{- $root := .root -}}
{{- $data := $root.Files.Get "files/policies.json" | fromJson -}}
{{- $configuration := $root.Values.configuration -}}
{{- $rank := dict "off" 0 "false" 0 "audit" 1 "warn" 2 "enforce" 3 -}}
{{- $profile := get $data.profiles ($configuration.profile | default "") | default dict -}}
{{- $top := dict "modes" (deepCopy ($profile.modes | default dict)) "settings" dict -}}
{{- include "portcullis.layer" (dict "layer" $top "written" $configuration "ceiling" ($profile.ceiling | default "enforce") "defaults" "off") -}}
{{- $layers := list $top -}}
{{- $byName := dict -}}
{{- range $entry := $configuration.namespaces -}}
  {{- $layer := dict "modes" (deepCopy $top.modes) "settings" (deepCopy $top.settings) -}}
  {{- include "portcullis.layer" (dict "layer" $layer "written" $entry "ceiling" $top.ceiling "defaults" $top.defaults) -}}
  {{- $layers = append $layers $layer -}}
  {{- range $name := $entry.match.names -}}{{- $_ := set $byName $name $layer -}}{{- end -}}
{{- end -}}
{{- $judged := dict -}}
{{- $set := dict -}}
{{- range $layer := $layers -}}
  {{- $ceiling := get $rank $layer.ceiling -}}
  {{- $kinds := dict -}}
  {{- $mutate := 0 -}}
  {{- range $policy := $data.policies -}}
    {{- $configured := get $layer.modes $policy.id -}}
    {{- $isOn := and $policy.defaults (or (eq $layer.defaults "all") (eq $layer.defaults ($policy.defaults | default ""))) -}}
    {{- if and (not $configured) $isOn -}}{{- $configured = "enforce" -}}{{- end -}}
    {{- $mode := 0 -}}
    {{- if $configured -}}{{- $mode = min (get $rank $configured) $ceiling -}}{{- end -}}
    {{- if $policy.defaults -}}{{- $mutate = max $mutate $mode -}}{{- end -}}
    {{- $strongest := $mode -}}
    {{- range $kind := $policy.kinds -}}
      {{- $mode := $strongest -}}
      {{- with $policy.warns -}}
        {{- $isRaised := eq (toString (get (get $layer.settings $policy.id | default dict) .unless)) "enforce" -}}
        {{- if and (eq .kind $kind) (not $isRaised) -}}{{- $mode = min $mode 2 -}}{{- end -}}
      {{- end -}}
      {{- if gt (int $mode) 0 -}}
        {{- if $policy.defaults -}}
          {{- $_ := set $set $kind true -}}
        {{- else -}}
          {{- $_ := set $judged $kind true -}}
          {{- $_ := set $kinds $kind (max (get $kinds $kind | default 0) $mode) -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- if and (eq ($configuration.podSecurityLabels | default "ignore") "tighten") (gt (int $ceiling) 0) -}}
    {{- $_ := set $judged "pods" true -}}
    {{- $_ := set $kinds "pods" (max (get $kinds "pods" | default 0) $ceiling) -}}
  {{- end -}}
  {{- /* Policies on Pods judge ephemeral containers too, so that one entry sends them for all policies. */ -}}
  {{- $_ := set $kinds $data.ephemeral (max (get $kinds $data.ephemeral | default 0) (get $kinds "pods" | default 0)) -}}
  {{- $_ := set $layer "kinds" $kinds -}}
  {{- $_ := set $layer "mutate" $mutate -}}
{{- end -}}
{{- $workloads := dict "rows" $data.workloads "data" $data "added" $configuration.workloads -}}
{{- include "portcullis.workloads" $workloads -}}
{{- $given := dict "data" $data "own" $root.Release.Namespace "top" $top "byName" $byName "workloads" $workloads.rows "root" $root -}}
{{- $validating := list -}}
{{- range $part := list (dict "name" "enforce" "from" 3 "to" 3 "failure" "Fail" "timeout" 3) (dict "name" "observe" "from" 1 "to" 2 "failure" "Ignore" "timeout" 1) -}}
  {{- $entries := merge (dict "part" $part "inForce" $judged "path" "/validate" "rules" "portcullis.validatingRules") $given -}}
  {{- include "portcullis.entries" $entries -}}
  {{- $validating = concat $validating $entries.webhooks -}}
{{- end -}}
{{- $part := dict "name" "defaults" "from" 1 "to" 3 "failure" "Ignore" "timeout" 1 "mutates" true -}}
{{- $entries := merge (dict "part" $part "inForce" $set "path" "/mutate" "rules" "portcullis.mutatingRules") $given -}}
{{- include "portcullis.entries" $entries -}}
{{- $_ := set $out "validating" $validating -}}
{{- $_ := set $out "mutating" $entries.webhooks -}}
{{- end -}}

{{/* Sets ceiling, defaults and modes of `layer` to what is written, or to those given. */}}
{{- define "portcullis.layer" -}}
{{- $layer := .layer -}}
{{- $_ := set $layer "ceiling" (ternary (toString .written.ceiling) .ceiling (hasKey .written "ceiling")) -}}
{{- $defaults := ternary (toString .written.defaults) .defaults (hasKey .written "defaults") -}}
{{- $_ := set $layer "defaults" (eq $defaults "false" | ternary "off" $defaults) -}}
{{- range $id, $policy := .written.policies -}}
  {{- if hasKey ($policy | default dict) "mode" -}}{{- $_ := set $layer.modes $id (toString $policy.mode) -}}{{- end -}}
  {{- if hasKey ($policy | default dict) "settings" -}}{{- $_ := set $layer.settings $id ($policy.settings | default dict) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Adds to `rows` the kinds in `added`, each once. */}}
{{- define "portcullis.workloads" -}}
{{- $rows := .rows -}}
{{- $seen := dict -}}
{{- $data := .data -}}
{{- range $row := .added -}}
  {{- $key := printf "%s/%s" $row.group $row.kind -}}
  {{- $known := get $seen $key -}}
  {{- if $known -}}
    {{- if $row.immutable -}}{{- $_ := set $known "fixed" true -}}{{- end -}}
  {{- else -}}
    {{- $resource := $row.resource | default (include "portcullis.plural" (dict "kind" $row.kind "data" $data)) -}}
    {{- $known = dict "group" $row.group "resource" $resource "fixed" ($row.immutable | default false) -}}
    {{- $_ := set $seen $key $known -}}
    {{- $rows = append $rows $known -}}
  {{- end -}}
{{- end -}}
{{- $_ := set . "rows" $rows -}}
{{- end -}}

{{/* The likely resource name of a kind (src/object/plural.rs). */}}
{{- define "portcullis.plural" -}}
{{- $word := lower .kind -}}
{{- $plural := "" -}}
{{- if has $word (values .data.plurals.words) -}}
  {{- $plural = $word -}}
{{- else if hasKey .data.plurals.words $word -}}
  {{- $plural = get .data.plurals.words $word -}}
{{- else -}}
  {{- range $ending := .data.plurals.endings -}}
    {{- if and (not $plural) (hasSuffix $ending.end $word) -}}
      {{- $plural = printf "%s%s" (substr 0 (int (sub (len $word) (int $ending.remove))) $word) $ending.add -}}
    {{- end -}}
  {{- end -}}
  {{- if not $plural -}}
    {{- if hasSuffix "o" $word -}}{{- $plural = printf "%ses" $word -}}
    {{- else if hasSuffix "s" $word -}}{{- $plural = $word -}}
    {{- else -}}{{- $plural = printf "%ss" $word -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $plural -}}
{{- end -}}

{{/* Sets `webhooks`: one for the kinds that are sent from the same namespaces, those whose strongest mode is in `part`. */}}
{{- define "portcullis.entries" -}}
{{- $given := . -}}
{{- $part := .part -}}
{{- $entries := list -}}
{{- $index := dict -}}
{{- range $kind := .data.kinds -}}
  {{- if hasKey $given.inForce $kind.key -}}
    {{- $isInNamespaces := or (eq $kind.key "pods") $kind.selected -}}
    {{- $in := dict "part" $part "kind" $kind.key -}}
    {{- $holdsTop := eq (include "portcullis.isIn" (merge (dict "layer" $given.top) $in)) "true" -}}
    {{- $names := list -}}
    {{- range $name, $layer := $given.byName -}}
      {{- $isIn := eq (include "portcullis.isIn" (merge (dict "layer" $layer) $in)) "true" -}}
      {{- if $holdsTop -}}
        {{- if not $isIn -}}{{- $names = append $names $name -}}{{- end -}}
      {{- else if and $isIn (ne $name $given.own) -}}
        {{- $names = append $names $name -}}
      {{- end -}}
    {{- end -}}
    {{- if $holdsTop -}}{{- $names = append $names $given.own -}}{{- end -}}
    {{- $names = $names | uniq | sortAlpha -}}
    {{- if and $names (or $isInNamespaces $holdsTop) -}}
      {{- $key := printf "%t %s" $holdsTop (join " " $names) -}}
      {{- $entry := get $index $key -}}
      {{- if $entry -}}
        {{- $_ := set $entry "kinds" (append $entry.kinds $kind) -}}
      {{- else -}}
        {{- $entry = dict "kinds" (list $kind) "names" $names "holdsTop" $holdsTop -}}
        {{- $_ := set $index $key $entry -}}
        {{- $entries = append $entries $entry -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $webhooks := list -}}
{{- range $entry := $entries -}}
  {{- $rules := fromJsonArray "[]" -}}
  {{- range $kind := $entry.kinds -}}
    {{- if eq $kind.key "pods" -}}
      {{- $made := dict "workloads" $given.workloads "holdsTop" $entry.holdsTop "rules" list "hasEphemeral" (hasKey $given.inForce $given.data.ephemeral) -}}
      {{- include $given.rules $made -}}
      {{- $rules = concat $rules $made.rules -}}
    {{- else -}}
      {{- $rules = append $rules $kind.rule -}}
    {{- end -}}
  {{- end -}}
  {{- $first := first $entry.kinds -}}
  {{- $name := eq $first.key "pods" | ternary $part.name (printf "%s-%s" $part.name ($first.resource | default "" | replace "/" "-")) -}}
  {{- $client := dict "service" (dict "name" "portcullis" "namespace" $given.own "path" $given.path "port" 443) -}}
  {{- with $given.root.Values.certificate.caBundle -}}{{- $_ := set $client "caBundle" (b64enc .) -}}{{- end -}}
  {{- $webhook := dict
      "name" (printf "%s.portcullis.dev" $name)
      "admissionReviewVersions" (list "v1")
      "clientConfig" $client
      "failurePolicy" $part.failure
      "matchConditions" (list (dict "name" "not-the-api-server" "expression" "request.userInfo.username != \"system:apiserver\""))
      "matchPolicy" "Equivalent"
      "namespaceSelector" (dict "matchExpressions" (list (dict
        "key" "kubernetes.io/metadata.name" "operator" ($entry.holdsTop | ternary "NotIn" "In") "values" $entry.names)))
      "rules" $rules
      "sideEffects" "None"
      "timeoutSeconds" $part.timeout -}}
  {{- if $part.mutates -}}{{- $_ := set $webhook "reinvocationPolicy" "IfNeeded" -}}{{- end -}}
  {{- $webhooks = append $webhooks $webhook -}}
{{- end -}}
{{- $_ := set . "webhooks" $webhooks -}}
{{- end -}}

{{/* true if the strongest mode of `kind` in `layer` is in `part`. A mutator costs a namespace no second webhook: all kinds are
     sent wherever some mutator acts. */}}
{{- define "portcullis.isIn" -}}
{{- $mode := .part.mutates | default false | ternary .layer.mutate (get .layer.kinds .kind | default 0) | int -}}
{{- and (ge $mode .part.from) (le $mode .part.to) -}}
{{- end -}}

{{- define "portcullis.validatingRules" -}}
{{- include "portcullis.byGroup" (dict "out" . "rows" .workloads "operations" (list "CREATE" "UPDATE")) -}}
{{- $_ := set . "rules" (append .rules (dict "apiGroups" (list "") "apiVersions" (list "*") "operations" (list "UPDATE")
    "resources" (.hasEphemeral | ternary (list "pods/resize") (list "pods/ephemeralcontainers" "pods/resize")) "scope" "Namespaced")) -}}
{{- end -}}

{{/* Pods and what never changes are patched when they are created; other templates when they change too. */}}
{{- define "portcullis.mutatingRules" -}}
{{- $fixed := list -}}
{{- $others := list -}}
{{- range $row := .workloads -}}
  {{- if $row.fixed -}}{{- $fixed = append $fixed $row -}}{{- else -}}{{- $others = append $others $row -}}{{- end -}}
{{- end -}}
{{- include "portcullis.byGroup" (dict "out" . "rows" $fixed "operations" (list "CREATE")) -}}
{{- include "portcullis.byGroup" (dict "out" . "rows" $others "operations" (list "CREATE" "UPDATE")) -}}
{{- $_ := set . "rules" (append .rules (dict "apiGroups" (list "") "apiVersions" (list "*") "operations" (list "UPDATE")
    "resources" (list "pods/ephemeralcontainers") "scope" "Namespaced")) -}}
{{- end -}}

{{/* Adds one rule for each group of `rows` to `out.rules`. A namespaceSelector holds back nothing that lives in no namespace,
     so only the part that the top is in takes such objects. */}}
{{- define "portcullis.byGroup" -}}
{{- $out := .out -}}
{{- $groups := list -}}
{{- $resources := dict -}}
{{- range $row := .rows -}}
  {{- if not (has $row.group $groups) -}}{{- $groups = append $groups $row.group -}}{{- end -}}
  {{- $_ := set $resources $row.group (append (get $resources $row.group | default list) $row.resource) -}}
{{- end -}}
{{- range $group := $groups -}}
  {{- $isAdded := not (has $group (list "" "apps" "batch")) -}}
  {{- $_ := set $out "rules" (append $out.rules (dict "apiGroups" (list $group) "apiVersions" (list "*") "operations" $.operations
      "resources" (get $resources $group) "scope" (and $isAdded $out.holdsTop | ternary "*" "Namespaced"))) -}}
{{- end -}}
{{- end -}}
