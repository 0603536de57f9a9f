{{/* What the pods of the Deployment and of the migration have in common. */}}

{{/* Not root; on OpenShift the cluster chooses user and group. */}}
{{- define "job-chief.podSecurityContext" -}}
{{- $own := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- if ne (include "job-chief.flavor" .) "openshift" }}
{{- $own = merge $own (dict "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532) }}
{{- end }}
{{- mergeOverwrite $own (deepCopy .Values.podSecurityContext) | toYaml }}
{{- end }}

{{- define "job-chief.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{- define "job-chief.pullSecrets" -}}
{{- $all := .Values.imagePullSecrets }}
{{- with .Values.cloudProvider.imagePullSecretName }}{{ $all = append $all (dict "name" .) }}{{ end }}
{{- with $all -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "job-chief.certificateMount" -}}
{{- if .Values.dbConfig.sslAuth.enabled -}}
- { name: db-ssl-certs, mountPath: {{ .Values.dbConfig.sslAuth.mountPath | quote }}, readOnly: true }
{{- end }}
{{- end }}

{{- define "job-chief.certificateVolume" -}}
{{- if .Values.dbConfig.sslAuth.enabled -}}
- name: db-ssl-certs
  secret:
    secretName: {{ .Values.dbConfig.sslAuth.secretName }}
    defaultMode: 288 # 0440
{{- end }}
{{- end }}

{{- define "job-chief.resources" -}}
{{- if dig "enabled" true .Values.resources }}
{{- toYaml (default (omit .Values.resources "enabled" "value") .Values.resources.value) }}
{{- else }}{}{{ end }}
{{- end }}
