{{/* What the pods of operator, watcher and prune jobs have in common. */}}

{{- define "dichroism.pod" -}}
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
(dict "root" $ "writable" LIST "secret" BOOL "journal" BOOL): image, environment and mounts of a container. Endpoints outside the list
are mounted read-only, so that a fault in one program can't touch what is not its business.
*/}}
{{- define "dichroism.container" -}}
{{- $values := .root.Values -}}
image: {{ include "dichroism.image" .root }}
imagePullPolicy: {{ $values.image.pullPolicy }}
securityContext:
  {{- toYaml $values.containerSecurityContext | nindent 2 }}
env:
  - {name: TMPDIR, value: /var/tmp}
  - {name: DICHROISM_CONFIG, value: /etc/dichroism/config.yml}  # for people who run a command in the pod
  {{- range $endpoint, $_ := $values.mounts }}
  - {name: DICHROISM_MOUNT_{{ $endpoint | upper | replace "-" "_" }}, value: /mnt/{{ $endpoint }}}
  {{- end }}
  {{- if .journal }}
  - {name: DICHROISM_WATCHER_JOURNAL, value: /var/lib/dichroism/watcher-journal.db}
  {{- end }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if and .secret $values.existingSecret }}
envFrom:
  - secretRef: {name: {{ $values.existingSecret | quote }}}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/dichroism, readOnly: true}
  - {name: temporary, mountPath: /var/tmp}
  {{- if .journal }}
  - {name: journal, mountPath: /var/lib/dichroism}
  {{- end }}
  {{- $writable := .writable }}
  {{- range $endpoint, $source := $values.mounts }}
  - name: mount-{{ $endpoint }}
    mountPath: /mnt/{{ $endpoint }}
    {{- with $source.subPath }}
    subPath: {{ . | quote }}
    {{- end }}
    readOnly: {{ not (has $endpoint $writable) }}
  {{- end }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "dichroism.volumes" -}}
{{- $config := include "dichroism.config" . | fromYaml -}}
- name: config
  configMap: {name: {{ include "dichroism.fullname" . }}-config}
- name: temporary
  emptyDir: {sizeLimit: 1Gi}
{{- range $endpoint, $source := .Values.mounts }}
{{- if not (hasKey $config $endpoint) }}
{{- fail (printf "\n\nmounts.%s names no endpoint of config, so nothing would use it. Name it as in config.yml\n" $endpoint) }}
{{- end }}
- name: mount-{{ $endpoint }}
  {{- omit $source "subPath" | toYaml | nindent 2 }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Pod of a flight check: (dict "root" $ "beamline" NAME "hops" SECTION "record" BOOL). It writes to .dichroism/flight of all
ends of the beamline's hops.
*/}}
{{- define "dichroism.flight.pod" -}}
{{- $values := .root.Values -}}
{{- $ends := list .hops.transfer.from .hops.transfer.to -}}
{{- with .hops.archive -}}{{- $ends = concat $ends (list .from .to) -}}{{- end -}}
serviceAccountName: {{ include "dichroism.fullname" .root }}-flight
restartPolicy: Never
{{ include "dichroism.pod" .root }}
containers:
  - name: flight-check
    command: [dichroism]
    args:
      - flight-check
      - --beamline
      - {{ .beamline | quote }}
      - --config
      - /etc/dichroism/config.yml
      - --timeout
      - {{ $values.flightCheck.timeout | int64 | quote }}
      {{- if $values.flightCheck.tape }}
      - --tape
      {{- end }}
      {{- if .record }}
      - --record
      {{- end }}
    {{- include "dichroism.container" (dict "root" .root "secret" true "writable" $ends) | nindent 4 }}
    resources:
      {{- toYaml $values.flightCheck.resources | nindent 6 }}
volumes:
  {{- include "dichroism.volumes" .root | nindent 2 }}
{{- end -}}
