{{- define "xyte-gateway.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "xyte-gateway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "xyte-gateway.labels" -}}
{{ include "xyte-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "xyte-gateway.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* What every pod has: an ordinary account, no privileges, no token of the cluster. */}}
{{- define "xyte-gateway.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 16Mi}
{{- end }}

{{- define "xyte-gateway.container" -}}
image: {{ include "xyte-gateway.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{/* Secrets come one by one, so that a Secret with more in it gives no more away. */}}
{{- define "xyte-gateway.environment" -}}
{{- range list "DATABASE_URL" "REDIS_URL" "KEY_PEPPER" "SEALING_KEYS" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.secretName | quote }}, key: {{ . }}}}
{{- end }}
- name: ALLOWED_HOSTS
  value: {{ .Values.web.allowedHosts | quote }}
{{- $url := .Values.web.publicUrl }}
{{- if and (not $url) .Values.ingress.enabled }}{{ $url = printf "https://%s" (first .Values.ingress.hosts) }}{{ end }}
{{- with $url }}
- name: PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
- name: REPLICAS
  value: {{ ternary .Values.web.autoscaling.maxReplicas .Values.web.replicas .Values.web.autoscaling.enabled | quote }}
{{- range $name, $value := .Values.settings }}
{{- /* A large whole number would otherwise come out as 1e+06. */}}
- name: {{ $name }}
  value: {{ ternary (printf "%.0f" (float64 $value)) (toString $value) (and (kindIs "float64" $value) (eq (floor $value) (float64 $value))) | quote }}
{{- end }}
{{- end }}

{{- define "xyte-gateway.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "xyte-gateway.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
{{- end }}
