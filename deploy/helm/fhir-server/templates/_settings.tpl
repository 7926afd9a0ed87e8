{{/* The server's TOML file: the values under `settings`, and what the chart knows better. */}}
{{- define "fhir.toml" -}}
{{- $own := dict "host" "0.0.0.0" "port" 8080 "demo" false "storage" .Values.storage "drain" .Values.drain "stop_grace" .Values.stopGrace -}}
{{- if .Values.tls.secret -}}
{{- $_ := set $own "tls_cert" "/etc/fhir-server/tls/tls.crt" -}}
{{- $_ := set $own "tls_key" "/etc/fhir-server/tls/tls.key" -}}
{{- end -}}
{{- if .Values.dimse.enabled -}}
{{- $_ := set $own "plugins" (dict "dicomweb" (dict "dimse_port" .Values.dimse.port "dimse_address" "0.0.0.0")) -}}
{{- end -}}
{{- if and .Values.backup.enabled (eq .Values.storage "sqlite") -}}
{{- $_ := set $own "backup_archive" (default "/backup" .Values.backup.bucket) -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.settings) $own | toToml -}}
{{- end }}
