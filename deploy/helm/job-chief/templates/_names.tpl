{{/* Names and labels. */}}

{{- define "job-chief.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "job-chief.fullname" -}}
{{- $name := include "job-chief.name" . }}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $whole .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "job-chief.selectorLabels" -}}
app.kubernetes.io/name: {{ include "job-chief.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "job-chief.labels" -}}
{{ include "job-chief.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where an object is and what it is called: the first lines of its metadata. */}}
{{- define "job-chief.metadata" -}}
name: {{ include "job-chief.fullname" . }}
labels:
  {{- include "job-chief.labels" . | nindent 2 }}
{{- end }}

{{- define "job-chief.serviceAccount" -}}
{{- default (ternary (include "job-chief.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "job-chief.registry" -}}
{{- default .Values.cloudProvider.dockerRegistryUrl (default dict (default dict .Values.global).cloudProvider).dockerRegistryUrl }}
{{- end }}

{{- define "job-chief.flavor" -}}
{{- default .Values.cloudProvider.flavor (default dict (default dict .Values.global).cloudProvider).flavor }}
{{- end }}

{{- define "job-chief.environment" -}}
{{- $global := (default dict .Values.global).environment }}
{{- ternary $global .Values.environment (and (kindIs "string" $global) (ne $global "")) }}
{{- end }}

{{- define "job-chief.image" -}}
{{- with include "job-chief.registry" . }}{{ trimSuffix "/" . }}/{{ end }}
{{- .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}
