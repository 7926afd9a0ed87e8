{{/* Parts that the server's pods and those of the jobs share. */}}

{{- define "fhir.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fhir.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "fhir.env" -}}
- name: FHIR_SERVER_DATA_DIR
  value: {{ include "fhir.data" . }}
{{- range $name, $key := .Values.secrets.keys }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ include "fhir.secret" $ }}, key: {{ $key }}, optional: true}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "fhir.mounts" -}}
- {name: settings, mountPath: /etc/fhir-server/settings, readOnly: true}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
{{- if .Values.tls.secret }}
- {name: tls, mountPath: /etc/fhir-server/tls, readOnly: true}
{{- end }}
{{- range .Values.files }}
- {name: file-{{ .name }}, mountPath: {{ .mountPath }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "fhir.volumes" -}}
- name: settings
  configMap: {name: {{ include "fhir.fullname" . }}-settings}
- name: tmp
  emptyDir: {sizeLimit: {{ .Values.tmpSize }}}
{{- if .Values.tls.secret }}
- name: tls
  secret: {secretName: {{ .Values.tls.secret }}, defaultMode: 0440}
{{- end }}
{{- range .Values.files }}
- name: file-{{ .name }}
  {{- if .secret }}
  secret: {secretName: {{ .secret }}, defaultMode: 0440}
  {{- else }}
  configMap: {name: {{ .configMap }}}
  {{- end }}
{{- end }}
{{- end }}

{{- define "fhir.scratch" -}}
- name: data
  emptyDir: {sizeLimit: {{ .Values.scratchSize }}}
{{- end }}

{{- define "fhir.backupClaim" -}}
{{ default (printf "%s-backup" (include "fhir.fullname" .)) .Values.backup.existingClaim }}
{{- end }}

{{- define "fhir.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" (ne .root.Values.tls.secret "") }}
{{- end }}

{{- define "fhir.pod" -}}
metadata:
  labels:
    {{- include "fhir.labels" . | nindent 4 }}
    app.kubernetes.io/component: server
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # pods start anew when a setting changes
    checksum/settings: {{ include "fhir.toml" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "fhir.account" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    {{- include "fhir.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # draining, what is under way, ten seconds for the archive to have the last, and ten to close the store
  terminationGracePeriodSeconds: {{ add .Values.drain .Values.stopGrace 20 }}
  {{- if eq .Values.storage "mongodb" }}
  topologySpreadConstraints:
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "fhir.server" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: server
      image: {{ include "fhir.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/fhir-server/settings/server.toml]
      ports:
        - {name: http, containerPort: 8080}
        {{- if .Values.dimse.enabled }}
        - {name: dimse, containerPort: {{ .Values.dimse.port }}}
        {{- end }}
      env:
        {{- include "fhir.env" . | nindent 8 }}
      # A first start makes indexes, or brings a store of an older release up to date: ten minutes.
      startupProbe:
        {{- include "fhir.probe" (dict "path" "/health/live" "root" .) | nindent 8 }}
        periodSeconds: 2
        failureThreshold: 300
      livenessProbe:
        {{- include "fhir.probe" (dict "path" "/health/live" "root" .) | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        {{- include "fhir.probe" (dict "path" "/health/ready" "root" .) | nindent 8 }}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- include "fhir.containerSecurity" . | nindent 8 }}
      volumeMounts:
        {{- include "fhir.mounts" . | nindent 8 }}
        {{- if and .Values.backup.enabled (eq .Values.storage "sqlite") (not .Values.backup.bucket) }}
        - {name: backup, mountPath: /backup}
        {{- end }}
  volumes:
    {{- include "fhir.volumes" . | nindent 4 }}
    {{- if and .Values.backup.enabled (eq .Values.storage "sqlite") (not .Values.backup.bucket) }}
    - name: backup
      persistentVolumeClaim: {claimName: {{ include "fhir.backupClaim" . }}}
    {{- end }}
    {{- if eq .Values.storage "mongodb" }}
    {{- include "fhir.scratch" . | nindent 4 }}
    {{- end }}
{{- end }}
