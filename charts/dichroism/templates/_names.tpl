{{/* Names, labels and the image: what every object needs. */}}

{{- define "dichroism.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Beginning of all names: the release, and the chart unless the release says it already. */}}
{{- define "dichroism.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/*
Beginning of a CronJob's name, which has at most 52 characters, an endpoint's at most 22: a long one is cut, with a hash in
place of what is lost, so two releases never share a name.
*/}}
{{- define "dichroism.prefix" -}}
{{- $prefix := include "dichroism.fullname" . -}}
{{- if gt (len $prefix) 23 -}}
{{- $prefix = printf "%s-%s" (trunc 16 $prefix | trimSuffix "-") (sha256sum $prefix | trunc 6) -}}
{{- end -}}
{{- $prefix -}}
{{- end -}}

{{/* Name of the CronJob of an endpoint: (dict "root" $ "endpoint" NAME). */}}
{{- define "dichroism.cronjob" -}}
{{- printf "%s-prune-%s" (include "dichroism.prefix" .root) .endpoint -}}
{{- end -}}

{{/* Name of the flight check of a beamline, of at most 16 characters: (dict "root" $ "beamline" NAME). */}}
{{- define "dichroism.flight" -}}
{{- printf "%s-flight-%s" (include "dichroism.prefix" .root) (lower .beamline) -}}
{{- end -}}

{{/* Name of the audit, of at most 52 characters. */}}
{{- define "dichroism.audit" -}}
{{- printf "%s-audit" (include "dichroism.prefix" .) -}}
{{- end -}}

{{/* Labels by which pods are selected; they never change. (dict "root" $ "component" NAME) */}}
{{- define "dichroism.selector" -}}
app.kubernetes.io/name: {{ include "dichroism.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of every object. They are on the chart's own objects only, never on Scans, Transfers or Prunes. */}}
{{- define "dichroism.labels" -}}
{{ include "dichroism.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Labels of a pod: those of the object that makes it, and what the values add. */}}
{{- define "dichroism.pod.labels" -}}
{{ include "dichroism.labels" . }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "dichroism.image" -}}
{{- $image := .Values.image -}}
{{- if not $image.repository -}}
{{- fail "\n\nimage.repository is not set, so no pod could start. Name the image with the command `dichroism`, for example --set image.repository=registry.example.org/als/dichroism\n" -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}
