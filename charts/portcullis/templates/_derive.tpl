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
{{- $top := dict "modes" (deepCopy ($profile.modes | default dict)) "settings" dict "keys" dict -}}
{{- include "portcullis.layer" (dict "layer" $top "written" $configuration "ceiling" ($profile.ceiling | default "enforce") "defaults" "off") -}}
{{- $layers := list $top -}}
{{- $byName := dict -}}
{{- $raises := list -}}
{{- range $entry := $configuration.namespaces -}}
  {{- $layer := dict "modes" (deepCopy $top.modes) "settings" (deepCopy $top.settings) "keys" (deepCopy $top.keys) -}}
  {{- include "portcullis.layer" (dict "layer" $layer "written" $entry "ceiling" $top.ceiling "defaults" $top.defaults) -}}
  {{- $layers = append $layers $layer -}}
  {{- range $name := $entry.match.names -}}{{- $_ := set $byName $name $layer -}}{{- end -}}
  {{- range $key, $values := $entry.match.labels -}}
    {{- if not (kindIs "slice" $values) -}}{{- $values = list $values -}}{{- end -}}
    {{- $raises = append $raises (dict "layer" $layer "key" $key "values" ($values | uniq | sortAlpha)) -}}
  {{- end -}}
{{- end -}}
{{- $judged := dict -}}
{{- $named := dict -}}
{{- /* Namespaces to which settings at the top limit a policy. */ -}}
{{- $limits := list -}}
{{- $set := dict -}}
{{- range $index, $layer := $layers -}}
  {{- $ceiling := get $rank $layer.ceiling -}}
  {{- $kinds := dict -}}
  {{- $limited := list -}}
  {{- $mutate := 0 -}}
  {{- range $policy := $data.policies -}}
    {{- $configured := get $layer.modes $policy.id -}}
    {{- $isOn := and $policy.defaults (or (eq $layer.defaults "all") (eq $layer.defaults ($policy.defaults | default ""))) -}}
    {{- if and (not $configured) $isOn -}}{{- $configured = "enforce" -}}{{- end -}}
    {{- $mode := 0 -}}
    {{- if $configured -}}{{- $mode = min (get $rank $configured) $ceiling -}}{{- end -}}
    {{- if $policy.defaults -}}{{- $mutate = max $mutate $mode -}}{{- end -}}
    {{- $strongest := $mode -}}
    {{- $into := $kinds -}}
    {{- if $policy.namespaces -}}
      {{- $into = dict -}}
      {{- $names := (get $layer.settings $policy.id | default dict).namespaces | default list -}}
      {{- $limited = append $limited (dict "names" $names "kinds" $into) -}}
      {{- if and (gt (int $mode) 0) (eq $index 0) -}}{{- $limits = concat $limits $names -}}{{- end -}}
    {{- end -}}
    {{- range $kind := $policy.kinds -}}
      {{- $mode := $strongest -}}
      {{- range $warns := $policy.warns -}}
        {{- $written := get (hasKey $warns "key" | ternary $layer.keys $layer.settings) $policy.id | default dict -}}
        {{- $isRaised := eq (toString (get $written ($warns.key | default $warns.setting))) $warns.unless -}}
        {{- if and (eq $warns.kind $kind) (not $isRaised) -}}{{- $mode = min $mode 2 -}}{{- end -}}
      {{- end -}}
      {{- if gt (int $mode) 0 -}}
        {{- if $policy.defaults -}}
          {{- $_ := set $set $kind true -}}
        {{- else -}}
          {{- $_ := set $judged $kind true -}}
          {{- $_ := set $into $kind (max (get $into $kind | default 0) $mode) -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
    {{- if and $policy.instances (gt (int $mode) 0) -}}
      {{- range $instance := (get $layer.settings $policy.id | default dict).instances -}}
        {{- range $kind := $instance.kinds -}}
          {{- $row := dict "kind" $kind "data" $data -}}
          {{- include "portcullis.namedKind" $row -}}
          {{- $strongest := min $mode (get $rank ($instance.mode | default "enforce")) -}}
          {{- if $row.row.warns -}}{{- $strongest = min $strongest 2 -}}{{- end -}}
          {{- $_ := set $named $row.key $row.row -}}
          {{- $_ := set $kinds $row.key (max (get $kinds $row.key | default 0) $strongest) -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- if and (eq ($configuration.podSecurityLabels | default "ignore") "tighten") (gt (int $ceiling) 0) -}}
    {{- $_ := set $judged "pods" true -}}
    {{- $_ := set $kinds "pods" (max (get $kinds "pods" | default 0) $ceiling) -}}
  {{- end -}}
  {{- $_ := set $layer "kinds" $kinds -}}
  {{- $_ := set $layer "limited" $limited -}}
  {{- $_ := set $layer "mutate" $mutate -}}
{{- end -}}
{{- /* Labels of a namespace may make policies refuse Pods: those that entries match, and those for Pod Security. */ -}}
{{- $mayRaise := false -}}
{{- range $raise := $raises -}}
  {{- $onPods := dict "layer" $raise.layer "part" (dict "from" 3 "to" 3) "kinds" (prepend (keys $named) "pods") -}}
  {{- if eq (include "portcullis.isIn" $onPods) "true" -}}{{- $mayRaise = true -}}{{- end -}}
{{- end -}}
{{- $tightens := eq ($configuration.podSecurityLabels | default "ignore") "tighten" -}}
{{- range $layer := $layers -}}
  {{- $_ := set $layer "mayRefuse" (or $mayRaise (and $tightens (eq $layer.ceiling "enforce"))) -}}
{{- end -}}
{{- range $name := $limits -}}{{- if not (hasKey $byName $name) -}}{{- $_ := set $byName $name $top -}}{{- end -}}{{- end -}}
{{- $workloads := dict "rows" $data.workloads "data" $data "added" $configuration.workloads -}}
{{- include "portcullis.workloads" $workloads -}}
{{- $given := dict "data" $data "own" $root.Release.Namespace "top" $top "byName" $byName "raises" $raises "workloads" $workloads.rows "root" $root -}}
{{- $validating := list -}}
{{- range $part := list (dict "name" "enforce" "end" "" "from" 3 "to" 3 "failure" "Fail" "timeout" 3) (dict "name" "observe" "end" "-observe" "from" 1 "to" 2 "failure" "Ignore" "timeout" 1) -}}
  {{- $entries := merge (dict "part" $part "inForce" $judged "named" $named "path" "/validate" "ofPods" "portcullis.judgedOfPods") $given -}}
  {{- include "portcullis.allEntries" $entries -}}
  {{- $validating = concat $validating $entries.webhooks -}}
{{- end -}}
{{- /* Dry runs that change labels of Namespaces which no policy judges (src/webhooks/labelling.rs). */ -}}
{{- $part := dict "name" "labels" "from" 0 "to" 0 "failure" "Ignore" "timeout" 3 "labels" true -}}
{{- $judging := merge (dict "inForce" $judged "named" $named "ofPods" "portcullis.judgedOfPods") $given -}}
{{- include "portcullis.sent" $judging -}}
{{- $one := dict "group" "" "name" "namespaces" "operations" (list "UPDATE") "scope" "Cluster" "kinds" list "plain" true "resource" "" "source" "labels" "condition" $data.changesLabels -}}
{{- range $sent := $judging.sent -}}
  {{- if and (eq $sent.group "") (eq $sent.name "namespaces") (not $sent.deletion) -}}{{- $_ := set $one "kinds" $sent.kinds -}}{{- end -}}
{{- end -}}
{{- $entries := merge (dict "part" $part "sent" (list $one) "path" "/validate" "raise" -1) $given -}}
{{- include "portcullis.entries" $entries -}}
{{- $validating = concat $validating $entries.webhooks -}}
{{- $part := dict "name" "defaults" "end" "" "from" 1 "to" 3 "failure" "Ignore" "timeout" 1 "mutates" true -}}
{{- $entries := merge (dict "part" $part "inForce" $set "named" dict "path" "/mutate" "ofPods" "portcullis.patchedOfPods") $given -}}
{{- include "portcullis.allEntries" $entries -}}
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
  {{- $keys := get $layer.keys $id | default dict -}}
  {{- range $key := list "updates" "deletes" -}}
    {{- if hasKey ($policy | default dict) $key -}}{{- $_ := set $keys $key (get $policy $key) -}}{{- end -}}
  {{- end -}}
  {{- $_ := set $layer.keys $id $keys -}}
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

{{/* Sets `key` and `row` of a kind that an instance names (src/object/named.rs). */}}
{{- define "portcullis.namedKind" -}}
{{- $kind := .kind -}}
{{- $known := get .data.named (toString $kind.kind) -}}
{{- if and $known (or (not (hasKey $kind "group")) (eq (toString ($kind.group | default "")) $known.group)) -}}
  {{- $_ := set . "row" $known -}}
{{- else -}}
  {{- $_ := set . "row" (dict "group" ($kind.group | default "") "resource" ($kind.resource | default "") "scope" "" "below" list) -}}
{{- end -}}
{{- $_ := set . "key" (printf "named %s %s" .row.group .row.resource) -}}
{{- end -}}

{{/* Sets `sent`: the resources of the kinds in force, each once (src/webhooks/sent.rs). One that a row of the table and others
     judge stands in the rule of the row, else in that of Pods. */}}
{{- define "portcullis.sent" -}}
{{- $given := . -}}
{{- $sources := dict -}}
{{- range $kind := .data.kinds -}}
  {{- if hasKey $given.inForce $kind.key -}}
    {{- $found := list -}}
    {{- if eq $kind.key "pods" -}}
      {{- $made := dict "workloads" $given.workloads -}}
      {{- include $given.ofPods $made -}}
      {{- $found = $made.found -}}
      {{- $_ := set $sources "" (dict "key" "pods" "found" $found) -}}
    {{- else -}}
      {{- $group := first $kind.rule.apiGroups -}}
      {{- range $name := $kind.rule.resources -}}
        {{- $found = append $found (dict "group" $group "name" $name "operations" $kind.rule.operations "scope" $kind.rule.scope "alone" (or $kind.alone $kind.deletion) "condition" $kind.condition "deletion" $kind.deletion) -}}
      {{- end -}}
      {{- $_ := set $sources (printf "%s %s 0 %d %s" $kind.resource $group (sub 9 (len $kind.rule.operations)) $kind.key) (dict "key" $kind.key "found" $found "resource" $kind.resource) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $key, $row := .named -}}
  {{- $found := list (dict "group" $row.group "name" $row.resource "operations" (list "CREATE" "UPDATE") "scope" $row.scope "alone" $row.alone) -}}
  {{- range $name := $row.below -}}
    {{- $found = append $found (dict "group" $row.group "name" $name "operations" (list "UPDATE") "scope" $row.scope) -}}
  {{- end -}}
  {{- $_ := set $sources (printf "%s %s 1" $row.resource $row.group) (dict "key" $key "found" $found "named" true) -}}
{{- end -}}
{{- $all := list -}}
{{- $index := dict -}}
{{- range $order := keys $sources | sortAlpha -}}
  {{- $source := get $sources $order -}}
  {{- range $one := $source.found -}}
    {{- $place := printf "%s %s%s" $one.group $one.name (ternary " deleted" "" ($one.deletion | default false)) -}}
    {{- $known := get $index $place -}}
    {{- if $known -}}
      {{- $_ := set $known "kinds" (append $known.kinds $source.key) -}}
      {{- $_ := set $known "operations" (concat $known.operations $one.operations | uniq) -}}
      {{- if ne (toJson $known.condition) (toJson $one.condition) -}}{{- $_ := unset $known "condition" -}}{{- end -}}
      {{- if $source.named -}}{{- $_ := set $known "plain" false -}}{{- end -}}
      {{- if and $source.resource (not $known.resource) -}}
        {{- $moved := merge (dict "source" $source.key "resource" $source.resource "scope" $one.scope) $known -}}
        {{- $_ := set $moved "alone" $one.alone -}}
        {{- $_ := set $known "gone" true -}}
        {{- $_ := set $index $place $moved -}}
        {{- $all = append $all $moved -}}
      {{- end -}}
    {{- else -}}
      {{- $new := merge (dict "source" $source.key "resource" ($source.resource | default "") "kinds" (list $source.key) "plain" (not $source.named)) $one -}}
      {{- $_ := set $index $place $new -}}
      {{- $all = append $all $new -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $sent := list -}}
{{- range $one := $all -}}{{- if not $one.gone -}}{{- $sent = append $sent $one -}}{{- end -}}{{- end -}}
{{- $_ := set . "sent" $sent -}}
{{- end -}}

{{/* Sets `webhooks`: those by the names of namespaces, and those of each entry that matches by a label (src/webhooks.rs). */}}
{{- define "portcullis.allEntries" -}}
{{- $given := . -}}
{{- include "portcullis.sent" . -}}
{{- include "portcullis.entries" (set . "raise" -1) -}}
{{- $all := .webhooks -}}
{{- range $number, $_ := .raises -}}
  {{- $part := merge (dict "name" (printf "raise-%d%s" (int (add1 $number)) $given.part.end)) (omit $given.part "name") -}}
  {{- $entries := merge (dict "part" $part "raise" $number) (omit $given "part" "raise") -}}
  {{- include "portcullis.entries" $entries -}}
  {{- $all = concat $all $entries.webhooks -}}
{{- end -}}
{{- $_ := set . "webhooks" $all -}}
{{- end -}}

{{/* Sets `webhooks`: one for what is sent from the same namespaces, those where its strongest mode by name is in `part`, or those
     that the label of an entry raises into it (src/webhooks/entry.rs, src/webhooks/namespaces.rs). */}}
{{- define "portcullis.entries" -}}
{{- $given := . -}}
{{- $part := .part -}}
{{- $raise := int .raise -}}
{{- $mutates := $part.mutates | default false -}}
{{- $byName := $part -}}
{{- if ge $raise 0 -}}{{- $byName = dict "from" 0 "to" (int (sub $part.from 1)) "mutates" $mutates -}}{{- end -}}
{{- $above := dict "from" (int (add1 $part.to)) "to" 3 "mutates" $mutates -}}
{{- $entries := list -}}
{{- $index := dict -}}
{{- range $one := .sent -}}
  {{- $isSelected := or (ne $one.scope "Cluster") (and (eq $one.group "") (eq (first (splitList "/" $one.name)) "namespaces")) -}}
  {{- $kinds := $one.kinds -}}
  {{- $in := dict "part" $byName "kinds" $kinds -}}
  {{- $isRaised := true -}}
  {{- $labels := list -}}
  {{- $earlier := list -}}
  {{- range $number, $one := $given.raises -}}
    {{- $isIn := eq (include "portcullis.isIn" (dict "layer" $one.layer "part" $part "kinds" $kinds)) "true" -}}
    {{- if eq $number $raise -}}
      {{- $isRaised = $isIn -}}
      {{- $labels = append $labels (dict "key" $one.key "operator" "In" "values" $one.values) -}}
    {{- else if and $isIn (lt $number $raise) -}}
      {{- $earlier = append $earlier (dict "key" $one.key "operator" "NotIn" "values" $one.values) -}}
    {{- end -}}
  {{- end -}}
  {{- range $one := $given.raises -}}
    {{- if eq (include "portcullis.isIn" (dict "layer" $one.layer "part" $above "kinds" $kinds)) "true" -}}
      {{- $labels = append $labels (dict "key" $one.key "operator" "NotIn" "values" $one.values) -}}
    {{- end -}}
  {{- end -}}
  {{- $labels = concat $labels $earlier -}}
  {{- $holdsTop := eq (include "portcullis.isIn" (merge (dict "layer" $given.top "name" "") $in)) "true" -}}
  {{- $names := list -}}
  {{- range $name, $layer := $given.byName -}}
    {{- $isIn := eq (include "portcullis.isIn" (merge (dict "layer" $layer "name" $name) $in)) "true" -}}
    {{- if $holdsTop -}}
      {{- if not $isIn -}}{{- $names = append $names $name -}}{{- end -}}
    {{- else if and $isIn (ne $name $given.own) -}}
      {{- $names = append $names $name -}}
    {{- end -}}
  {{- end -}}
  {{- if $holdsTop -}}{{- $names = append $names $given.own -}}{{- end -}}
  {{- $names = $names | uniq | sortAlpha -}}
  {{- $operator := $holdsTop | ternary "NotIn" "In" -}}
  {{- if ge $raise 0 -}}{{- $holdsTop = false -}}{{- end -}}
  {{- if and $names $isRaised (or $isSelected $holdsTop) -}}
    {{- $selector := prepend $labels (dict "key" "kubernetes.io/metadata.name" "operator" $operator "values" $names) -}}
    {{- $key := printf "%t %s" $holdsTop (toJson $selector) -}}
    {{- if $one.alone -}}{{- $key = printf "alone %s %t" $one.name ($one.deletion | default false) -}}{{- end -}}
    {{- $entry := get $index $key -}}
    {{- if $entry -}}
      {{- $_ := set $entry "sent" (append $entry.sent $one) -}}
    {{- else -}}
      {{- $entry = dict "sent" (list $one) "selector" $selector "holdsTop" $holdsTop -}}
      {{- $_ := set $index $key $entry -}}
      {{- $entries = append $entries $entry -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $webhooks := list -}}
{{- range $entry := $entries -}}
  {{- $rules := fromJsonArray "[]" -}}
  {{- $ruled := dict -}}
  {{- $plain := dict -}}
  {{- range $one := $entry.sent -}}
    {{- if and $one.plain (not $plain) -}}{{- $plain = $one -}}{{- end -}}
    {{- $key := printf "%s/%s/%s" $one.source $one.group (join " " $one.operations) -}}
    {{- $rule := get $ruled $key -}}
    {{- if $rule -}}
      {{- $_ := set $rule "resources" (append $rule.resources $one.name) -}}
    {{- else -}}
      {{- $scope := $one.scope | default (ternary "*" "Namespaced" $entry.holdsTop) -}}
      {{- $rule = dict "apiGroups" (list $one.group) "apiVersions" (list "*") "operations" $one.operations "resources" (list $one.name) "scope" $scope -}}
      {{- $_ := set $ruled $key $rule -}}
      {{- $rules = append $rules $rule -}}
    {{- end -}}
  {{- end -}}
  {{- $first := first $entry.sent -}}
  {{- $partName := printf "%s%s" $part.name (ternary "-deleted" "" ($first.deletion | default false)) -}}
  {{- $name := printf "%s-%s.%s" $partName ($first.name | replace "/" "-") ($first.group | default "core") -}}
  {{- if and $plain $plain.resource -}}
    {{- $name = printf "%s-%s" $partName ($plain.resource | replace "/" "-") -}}
  {{- else if $plain -}}
    {{- $name = $part.name -}}
  {{- end -}}
  {{- $client := dict "service" (dict "name" "portcullis" "namespace" $given.own "path" $given.path "port" 443) -}}
  {{- with $given.root.Values.certificate.caBundle -}}{{- $_ := set $client "caBundle" (b64enc .) -}}{{- end -}}
  {{- $conditions := list (dict "name" "not-the-api-server" "expression" "request.userInfo.username != \"system:apiserver\"") -}}
  {{- if $first.deletion -}}{{- $conditions = append $conditions $given.data.cleaners -}}{{- end -}}
  {{- range $one := $entry.sent -}}
    {{- if and (eq $one.group $given.data.changesRights.group) (eq (len $conditions) 1) -}}
      {{- $conditions = append $conditions $given.data.changesRights.condition -}}
    {{- end -}}
  {{- end -}}
  {{- with $first.condition -}}{{- $conditions = append $conditions . -}}{{- end -}}
  {{- $webhook := dict
      "name" (printf "%s.portcullis.dev" $name)
      "admissionReviewVersions" (list "v1")
      "clientConfig" $client
      "failurePolicy" $part.failure
      "matchConditions" $conditions
      "matchPolicy" "Equivalent"
      "namespaceSelector" (dict "matchExpressions" $entry.selector)
      "rules" $rules
      "sideEffects" "None"
      "timeoutSeconds" $part.timeout -}}
  {{- if $part.mutates -}}{{- $_ := set $webhook "reinvocationPolicy" "IfNeeded" -}}{{- end -}}
  {{- $webhooks = append $webhooks $webhook -}}
{{- end -}}
{{- $_ := set . "webhooks" $webhooks -}}
{{- end -}}

{{/* true if the strongest mode of `kinds` in the namespace `name`, which
     `layer` governs, is in `part`; without `name`, in any namespace. A mutator costs a namespace no second webhook: all kinds are
     sent wherever some mutator acts. */}}
{{- define "portcullis.isIn" -}}
{{- $layer := .layer -}}
{{- $mode := .part.mutates | default false | ternary $layer.mutate 0 | int -}}
{{- if not .part.mutates -}}
  {{- range $kind := .kinds -}}{{- $mode = max $mode (get $layer.kinds $kind | default 0) -}}{{- end -}}
  {{- range $limited := .layer.limited -}}
    {{- if or (not (hasKey $ "name")) (has $.name $limited.names) -}}
      {{- range $kind := $.kinds -}}{{- $mode = max $mode (get $limited.kinds $kind | default 0) -}}{{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- /* Namespaces whose labels change nothing are left out like those that are sent already. */ -}}
{{- if and .part.labels (not $layer.mayRefuse) -}}{{- $mode = 3 -}}{{- end -}}
{{- and (ge (int $mode) .part.from) (le (int $mode) .part.to) -}}
{{- end -}}

{{/* Sets `found`: what policies on Pods judge. */}}
{{- define "portcullis.judgedOfPods" -}}
{{- include "portcullis.ofPods" (dict "out" . "rows" .workloads "operations" (list "CREATE" "UPDATE") "found" list) -}}
{{- range $name := list "pods/ephemeralcontainers" "pods/resize" -}}
  {{- $_ := set $ "found" (append $.found (dict "group" "" "name" $name "operations" (list "UPDATE") "scope" "Namespaced")) -}}
{{- end -}}
{{- end -}}

{{/* Sets `found`: Pods and what never changes are patched when they are created; other templates when they change too. */}}
{{- define "portcullis.patchedOfPods" -}}
{{- $fixed := list -}}
{{- $others := list -}}
{{- range $row := .workloads -}}
  {{- if $row.fixed -}}{{- $fixed = append $fixed $row -}}{{- else -}}{{- $others = append $others $row -}}{{- end -}}
{{- end -}}
{{- include "portcullis.ofPods" (dict "out" . "rows" $fixed "operations" (list "CREATE") "found" list) -}}
{{- include "portcullis.ofPods" (dict "out" . "rows" $others "operations" (list "CREATE" "UPDATE") "found" .found) -}}
{{- $_ := set . "found" (append .found (dict "group" "" "name" "pods/ephemeralcontainers" "operations" (list "UPDATE") "scope" "Namespaced")) -}}
{{- end -}}

{{/* Sets `out.found` to `found` and each of `rows`. Kubernetes' own kinds with pods live in namespaces, others may not. */}}
{{- define "portcullis.ofPods" -}}
{{- $found := .found -}}
{{- range $row := .rows -}}
  {{- $scope := has $row.group (list "" "apps" "batch") | ternary "Namespaced" "" -}}
  {{- $found = append $found (dict "group" $row.group "name" $row.resource "operations" $.operations "scope" $scope) -}}
{{- end -}}
{{- $_ := set .out "found" $found -}}
{{- end -}}
