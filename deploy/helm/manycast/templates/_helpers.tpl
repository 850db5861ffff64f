{{/* The name of everything of this release: RELEASE-manycast, or RELEASE where it already says manycast. */}}
{{- define "manycast.name" -}}
{{- if contains "manycast" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-manycast" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* The labels that select a part's pods. Call it with (list $ "gateway"). */}}
{{- define "manycast.selector" -}}
app.kubernetes.io/name: manycast
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of a part. Call it with (list $ "gateway"). */}}
{{- define "manycast.labels" -}}
{{ include "manycast.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "manycast.proxySecret" -}}
{{ .Values.proxySecret.existingSecret | default (printf "%s-proxy" (include "manycast.name" .)) }}
{{- end }}

{{/* The name of an image. Call it with (list $ .Values.gateway). */}}
{{- define "manycast.image" -}}
{{- $root := index . 0 }}{{ $image := (index . 1).image -}}
image: {{ printf "%s%s:%s" $root.Values.image.registry $image.repository ($image.tag | default $root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- end }}

{{/* What all pods have. Call it with (list $ "gateway" .Values.gateway). */}}
{{- define "manycast.pod" -}}
{{- $root := index . 0 }}{{ $part := index . 1 }}{{ $values := index . 2 -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "manycast.selector" (list $root $part) | nindent 8 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Variables from the map `settings` of a part. */}}
{{- define "manycast.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* REDIS_URL of a part. Call it with (list $ "gatewayKey"). */}}
{{- define "manycast.redis" -}}
{{- $redis := (index . 0).Values.redis -}}
{{- if $redis.existingSecret }}
- name: REDIS_URL_FILE
  value: /run/manycast/redis/{{ index $redis (index . 1) }}
{{- else }}
- name: REDIS_URL
  value: {{ $redis.url | quote }}
{{- end }}
{{- end }}

{{/* Mounts of a Secret as files. Call them with (list NAME SECRET KEYS). */}}
{{- define "manycast.secretVolume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
    items:
      {{- range index . 2 }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
{{- end }}

{{- define "manycast.mount" -}}
- { name: {{ . }}, mountPath: /run/manycast/{{ . }}, readOnly: true }
{{- end }}

{{/* A rule of a network policy. Call it with (list PORTS PEERS); no peers means anywhere. */}}
{{- define "manycast.egress" -}}
- ports:
    {{- range index . 0 }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
  {{- with index . 1 }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
