{{/* Sets `sinks`: name, host (empty where only the server knows it) and port of each address that a sink needs. */}}
{{- define "portcullis.sinks" -}}
{{- $found := list -}}
{{- range $sink := dig "trail" "sinks" list .root.Values.configuration -}}
  {{- $addresses := list -}}
  {{- if eq $sink.type "kafka" -}}
    {{- range $broker := $sink.brokers -}}{{- $addresses = append $addresses (dict "text" $broker "port" "9092") -}}{{- end -}}
  {{- else if eq $sink.type "postgres" -}}
    {{- $isBare := contains ":" $sink.host -}}
    {{- $addresses = list (dict "text" (ternary (printf "[%s]" $sink.host) $sink.host $isBare) "port" (toString ($sink.port | default 5432))) -}}
  {{- else if has $sink.type (list "webhook" "otlp" "s3") -}}
    {{- $url := coalesce $sink.url $sink.endpoint "" -}}
    {{- if $url -}}
      {{- $addresses = list (dict "text" (get (urlParse $url) "host") "port" (hasPrefix "http://" $url | ternary "80" "443")) -}}
    {{- else -}}
      {{- $addresses = list (dict "text" "" "port" "443") -}}
    {{- end -}}
  {{- end -}}
  {{- range $address := $addresses -}}
    {{- $text := $address.text -}}
    {{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $text) | default $address.port -}}
    {{- $host := regexReplaceAll ":[0-9]+$" $text "" | trimPrefix "[" | trimSuffix "]" -}}
    {{- $found = append $found (dict "name" $sink.name "host" $host "port" (int $port)) -}}
  {{- end -}}
{{- end -}}
{{- $_ := set . "sinks" $found -}}
{{- end -}}
