{{/* Nothing here says which release applied it: the kinds belong to the whole cluster. */}}
{{- define "dichroism.crds.labels" -}}
app.kubernetes.io/name: dichroism
app.kubernetes.io/component: crds
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Whatever tool removes the release, these stay. */}}
{{- define "dichroism.crds.keep" -}}
helm.sh/resource-policy: keep
argocd.argoproj.io/sync-options: Prune=false,Delete=false
kustomize.toolkit.fluxcd.io/prune: disabled
{{- end -}}
