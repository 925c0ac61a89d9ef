{{- define "portcullis.labels" -}}
app.kubernetes.io/name: portcullis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Those of `portcullis generate`, whose Pods no selector of the others may meet. */}}
{{- define "portcullis.generate.labels" -}}
{{ include "portcullis.labels" . | replace "app.kubernetes.io/name: portcullis" "app.kubernetes.io/name: portcullis-generate" }}
{{- end -}}

{{/* Egress that every Pod of ours needs. */}}
{{- define "portcullis.egress" -}}
# Names: the cluster's DNS, and caches of it on the node.
- to:
  - namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: kube-system}
    podSelector:
      matchLabels: {k8s-app: kube-dns}
  - ipBlock: {cidr: 169.254.20.10/32}
  ports: [{port: 53, protocol: UDP}, {port: 53}]
# The API server, behind its Service or by its own address. Link-local addresses are never it.
- to:
  {{- range .Values.networkPolicy.apiServerCidrs.egress }}
  - ipBlock: {cidr: {{ . | quote }}}
  {{- else }}
  - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
  - ipBlock: {cidr: "::/0", except: ["fe80::/10"]}
  {{- end }}
  ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - port: {{ . }}
  {{- end }}
{{- end -}}

{{- define "portcullis.image" -}}
{{- $image := .Values.image -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $image.registry) $image.repository -}}
{{- with $image.tag -}}{{- $name = printf "%s:%s" $name . -}}{{- end -}}
{{- with $image.digest -}}{{- $name = printf "%s@%s" $name . -}}{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The configuration file, byte for byte: its digest is an annotation of the webhooks. */}}
{{- define "portcullis.configuration" -}}
{{ regexReplaceAll "\\n+$" (toYaml .Values.configuration) "" }}
{{ end -}}

{{/* Refuses values that the schema cannot judge, because they depend on each other. */}}
{{- define "portcullis.check" -}}
{{- $values := .Values -}}
{{- if not $values.image.registry -}}
  {{- fail "image.registry: must be set: the registry that you keep the image in" -}}
{{- end -}}
{{- if not (or $values.image.digest (and $values.image.allowTag $values.image.tag)) -}}
  {{- if $values.image.tag -}}
    {{- fail "image.tag: a tag moves: set image.digest too, or image.allowTag: true" -}}
  {{- end -}}
  {{- fail "image.digest: must be set: sha256: and 64 hexadecimal digits, as `crane digest` prints it" -}}
{{- end -}}
{{- if and $values.podDisruptionBudget.enabled (ge (int $values.podDisruptionBudget.minAvailable) (int $values.replicas)) -}}
  {{- fail (printf "podDisruptionBudget.minAvailable: must be less than replicas (%d): otherwise no node can be drained" (int $values.replicas)) -}}
{{- end -}}
{{- $certificate := $values.certificate -}}
{{- if eq $certificate.mode "secret" -}}
  {{- if not $certificate.secretName -}}{{- fail "certificate.secretName: must be set with certificate.mode secret" -}}{{- end -}}
{{- else if $certificate.secretName -}}
  {{- fail (printf "certificate.secretName: has no effect with certificate.mode %s" $certificate.mode) -}}
{{- end -}}
{{- if eq $certificate.mode "files" -}}
  {{- if not $certificate.files.volume -}}{{- fail "certificate.files.volume: must be set with certificate.mode files" -}}{{- end -}}
{{- else if $certificate.files.volume -}}
  {{- fail (printf "certificate.files.volume: has no effect with certificate.mode %s" $certificate.mode) -}}
{{- end -}}
{{- if has $certificate.mode (list "secret" "files") -}}
  {{- if not $certificate.caBundle -}}{{- fail (printf "certificate.caBundle: must be set with certificate.mode %s" $certificate.mode) -}}{{- end -}}
{{- else if $certificate.caBundle -}}
  {{- fail (printf "certificate.caBundle: has no effect with certificate.mode %s, which sets caBundle itself" $certificate.mode) -}}
{{- end -}}
{{- $trail := $values.configuration.trail | default dict -}}
{{- $directory := dig "spool" "directory" "" $trail -}}
{{- if and $values.persistence.enabled (not (hasPrefix "/var/lib/portcullis/" $directory)) -}}
  {{- fail "configuration.trail.spool.directory: must be below /var/lib/portcullis/ with persistence.enabled" -}}
{{- end -}}
{{- if and $directory (not $values.persistence.enabled) -}}
  {{- fail "persistence.enabled: must be true with configuration.trail.spool: the root file system is read-only" -}}
{{- end -}}
{{- if and $values.fallbackToLastGood (not $values.persistence.enabled) -}}
  {{- fail "persistence.enabled: must be true with fallbackToLastGood, which keeps the last good configuration on the volume" -}}
{{- end -}}
{{- $key := dig "key" "file" "" $trail -}}
{{- if and $key (hasPrefix "/etc/portcullis-key/" $key) (not $values.trailKey.secretName) -}}
  {{- fail "trailKey.secretName: must be set with configuration.trail.key in /etc/portcullis-key" -}}
{{- end -}}
{{- $sinks := list -}}
{{- range $sink := $trail.sinks -}}{{- $sinks = append $sinks $sink.name -}}{{- end -}}
{{- range $index, $sink := $values.networkPolicy.sinks -}}
  {{- if not (has $sink.name $sinks) -}}
    {{- fail (printf "networkPolicy.sinks[%d].name: configuration.trail.sinks has no sink %s" $index $sink.name) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
