{{/*
All names are fixed: the operator's Lease, the policy, deploy/README.md and the roles of watched namespaces rely on them.
A namespace can therefore hold one release.
*/}}
{{- define "operator.name" -}}
desktop-deletion-operator
{{- end }}

{{/* The labels by which the Deployment selects its pods; immutable. */}}
{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/part-of: cloud-desktops
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Not empty if the operator serves all namespaces. */}}
{{- define "operator.allNamespaces" -}}
{{- if has "*" .Values.watchNamespaces }}true{{ end }}
{{- end }}

{{/* Environment variables for .Values.operator: logFormat becomes DESKTOP_DELETION_LOG_FORMAT. */}}
{{- define "operator.flags" -}}
{{- range $name, $value := .Values.operator }}
- name: DESKTOP_DELETION_{{ $name | snakecase | upper }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* The port of the collector of traces, or nothing if there is no collector. */}}
{{- define "operator.collectorPort" -}}
{{- with .Values.traces.otlpEndpoint }}
{{- $default := ternary "443" "80" (hasPrefix "https:" .) }}
{{- regexFind ":[0-9]+$" (urlParse .).host | trimPrefix ":" | default $default }}
{{- end }}
{{- end }}

{{/* The port of the proxy, or nothing if there is no proxy. */}}
{{- define "operator.proxyPort" -}}
{{- with .Values.cloudProxy.url }}
{{- regexFind ":[0-9]+/?$" . | trimAll ":/" | default "80" }}
{{- end }}
{{- end }}
