{{/* What the chart reads from the configuration. Whether the document is right in all its parts, the programs check. */}}

{{/* The document as it goes into the ConfigMap: a text stays as it was written. */}}
{{- define "dichroism.config.text" -}}
{{- if kindIs "string" .Values.config -}}
{{- .Values.config -}}
{{- else -}}
{{- toYaml .Values.config -}}
{{- end -}}
{{- end -}}

{{/* The document as data, for fromYaml, or a failure that says what is missing. */}}
{{- define "dichroism.config" -}}
{{- if not .Values.config -}}
{{- fail "\n\nconfig is not set: the chart needs the document with endpoints and beamlines. Give it with --set-file config=config.yml, or as the value `config`\n" -}}
{{- end -}}
{{- $config := include "dichroism.config.text" . | fromYaml -}}
{{- if hasKey $config "Error" -}}
{{- fail (printf "\n\nconfig is not a YAML document with keys: %s. See what is wrong with: dichroism config check config.yml\n" $config.Error) -}}
{{- end -}}
{{- if or (not (kindIs "map" $config.beamlines)) (not $config.beamlines) -}}
{{- fail "\n\nconfig has no beamlines, so there would be nothing to do. Is it the right file? Check it with: dichroism config check config.yml\n" -}}
{{- end -}}
{{- range $name, $beamline := $config.beamlines -}}
{{- if not (kindIs "map" $beamline) -}}
{{- fail (printf "\n\nconfig: beamlines.%s is not a section with keys. Check it with: dichroism config check config.yml\n" $name) -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The rules of all pruned endpoints, for fromYaml: {ENDPOINT: {beamline, after, needs}}. */}}
{{- define "dichroism.pruned" -}}
{{- $config := include "dichroism.config" . | fromYaml -}}
{{- $pruned := dict -}}
{{- range $name, $beamline := $config.beamlines -}}
{{- range $endpoint, $rule := $beamline.prune -}}
{{- if not (hasKey $config $endpoint) -}}
{{- fail (printf "\n\nconfig: beamlines.%s.prune names %q, which is no endpoint, so its files would never be pruned. Check it with: dichroism config check config.yml\n" $name $endpoint) -}}
{{- end -}}
{{- $_ := set $pruned $endpoint (mergeOverwrite (dict "beamline" $name) $rule) -}}
{{- end -}}
{{- end -}}
{{- toYaml $pruned -}}
{{- end -}}

{{/* Endpoints into which the operator writes, for fromYamlArray: copies, bundles, and the manifests beside the copies. */}}
{{- define "dichroism.destinations" -}}
{{- $found := list -}}
{{- range (include "dichroism.config" . | fromYaml).beamlines -}}
{{- with .transfer -}}{{- $found = append $found .to -}}{{- end -}}
{{- with .archive -}}{{- $found = concat $found (list .from .to) -}}{{- end -}}
{{- end -}}
{{- toYaml ($found | uniq | sortAlpha) -}}
{{- end -}}

{{/* A cron schedule with a minute made from a name in the place of H: (dict "schedule" TEXT "name" NAME). */}}
{{- define "dichroism.minute" -}}
{{- $minute := mod (sha256sum .name | adler32sum | int64) 60 -}}
{{- regexReplaceAll "^H " .schedule (printf "%d " $minute) -}}
{{- end -}}

{{/* The schedule of an endpoint's CronJob: (dict "root" $ "endpoint" NAME). */}}
{{- define "dichroism.schedule" -}}
{{- include "dichroism.minute" (dict "schedule" .root.Values.prune.schedule "name" .endpoint) -}}
{{- end -}}
