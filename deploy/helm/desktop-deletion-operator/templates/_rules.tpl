{{/* The permissions of the operator in a served namespace. The reasons are in deploy/watched-namespace/. */}}
{{- define "operator.rules" -}}
- apiGroups: [cloud-desktops.dev]
  resources: [desktopdeletions]
  verbs: [get, list, watch, patch]
- apiGroups: [cloud-desktops.dev]
  resources: [desktopdeletions/status]
  verbs: [update]
- apiGroups: [cloud-desktops.dev]
  resources: [workspaceprojects]
  verbs: [get, list, watch]
- apiGroups: [cloud-desktops.dev]
  resources: [workspaceprojects/status]
  verbs: [update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "operator.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  {{- with .Values.rbac.secretNames }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
{{- end }}

{{/* The reasons are in deploy/base/role-lease.yaml. */}}
{{- define "operator.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "operator.name" . }}]
  verbs: [get, update]
{{- end }}

{{/* A role and its binding. Arguments: root, name, rules, and namespace, which is empty for the whole cluster. */}}
{{- define "operator.role" -}}
{{- $cluster := ternary "Cluster" "" (empty .namespace) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $cluster }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "operator.labels" .root | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $cluster }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "operator.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $cluster }}Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "operator.name" .root }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
