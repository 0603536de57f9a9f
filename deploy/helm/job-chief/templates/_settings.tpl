{{/* The settings of the process: an environment, a file for what has no name there, and the Secrets behind both. */}}

{{/* Whether the chart makes a Secret: the URL or the password was given as it is. */}}
{{- define "job-chief.hasSecret" -}}
{{- if or .Values.dbConfig.url (and .Values.dbConfig.password (not .Values.dbConfig.passwordSecret.name) (not .Values.dbConfig.urlSecret.name)) }}yes{{ end }}
{{- end }}

{{/* Whether one URL says everything of the database. */}}
{{- define "job-chief.hasUrl" -}}
{{- if or .Values.dbConfig.url .Values.dbConfig.urlSecret.name }}yes{{ end }}
{{- end }}

{{- define "job-chief.passwordSecret" -}}
{{- $given := .Values.dbConfig.passwordSecret }}
{{- if $given.name }}{{ dict "name" $given.name "key" $given.key | toJson }}
{{- else }}{{ dict "name" (include "job-chief.fullname" .) "key" "DB_PASSWORD" | toJson }}{{ end }}
{{- end }}

{{/* Whether there are modules. */}}
{{- define "job-chief.hasModules" -}}
{{- if or .Values.modules.configMaps .Values.modules.volume }}yes{{ end }}
{{- end }}

{{/* The folders of the modules, as a volume. */}}
{{- define "job-chief.modulesVolume" -}}
- name: modules
  {{- with .Values.modules.volume }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  projected:
    sources:
      {{- range .Values.modules.configMaps }}
      {{- $folder := printf "%s/%s" .name (default "latest" .version) }}
      - configMap:
          name: {{ .configMap }}
          items:
            {{- range .items }}
            - { key: {{ .key | quote }}, path: {{ printf "%s/%s" $folder (default .key .path) | quote }} }
            {{- end }}
      {{- end }}
  {{- end }}
{{- end }}

{{/* The settings file, as JSON; `{}` when there is none. */}}
{{- define "job-chief.settingsFile" -}}
{{- $file := deepCopy .Values.settings }}
{{- with include "job-chief.environment" . }}
{{- $file = mergeOverwrite $file (dict "app" (dict "environment" .)) }}
{{- end }}
{{- if not (include "job-chief.hasUrl" .) }}
{{- $file = mergeOverwrite $file (dict "db" (dict "passwordSecret" (include "job-chief.passwordSecret" . | fromJson))) }}
{{- end }}
{{- toPrettyJson $file }}
{{- end }}

{{/* Where the database is, for the process and for the migration alike. */}}
{{- define "job-chief.certificates" -}}
{{- with .Values.dbConfig.sslAuth }}
{{- if .enabled }}
- { name: DB_ENABLE_SSL_AUTH, value: "true" }
- { name: DB_CERT_SECRET_NAME, value: {{ .secretName | quote }} }
- { name: DB_CA_PATH, value: {{ printf "%s/%s" .mountPath .caFileName | quote }} }
- { name: DB_CERT_PATH, value: {{ printf "%s/%s" .mountPath .certFileName | quote }} }
- { name: DB_KEY_PATH, value: {{ printf "%s/%s" .mountPath .keyFileName | quote }} }
{{- end }}
{{- end }}
{{- end }}

{{- define "job-chief.database" -}}
{{- $db := .Values.dbConfig }}
{{- if include "job-chief.hasUrl" . }}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- if $db.url }}
      name: {{ include "job-chief.fullname" . }}
      key: DATABASE_URL
      {{- else }}
      name: {{ $db.urlSecret.name }}
      key: {{ $db.urlSecret.key }}
      {{- end }}
{{- else }}
- { name: DB_HOST, value: {{ $db.host | quote }} }
- { name: DB_PORT, value: {{ $db.port | int | quote }} }
- { name: DB_NAME, value: {{ $db.database | quote }} }
- { name: DB_USERNAME, value: {{ $db.username | quote }} }
- name: DB_PASSWORD
  valueFrom:
    secretKeyRef:
      {{- include "job-chief.passwordSecret" . | fromJson | toYaml | nindent 6 }}
{{- end }}
{{- end }}

{{- define "job-chief.env" -}}
- { name: K8S_LOAD_CONFIG_FROM_CLUSTER, value: "true" }
- name: K8S_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- { name: APP_JOBS_CONFIG_PATH, value: /etc/job-chief/jobs.json }
- { name: APP_INSTANCE_UID, value: {{ .Values.env.instanceUid | quote }} }
- { name: SERVER_PORT, value: {{ .Values.env.targetPort | int | quote }} }
- { name: LOG_LEVEL, value: {{ .Values.env.logLevel | quote }} }
- { name: LOG_PRETTY_PRINT_ENABLED, value: {{ .Values.env.logPrettyPrintEnabled | quote }} }
- { name: DB_SCHEMA, value: {{ .Values.dbConfig.schema | quote }} }
- { name: DB_MANAGER_SCHEMA, value: {{ .Values.dbConfig.managerSchema | quote }} }
- { name: DB_MONITOR_STATE_INTERVAL_SECONDS, value: {{ .Values.dbConfig.monitorStateIntervalSeconds | toString | trimSuffix "," | int | quote }} }
{{- with .Values.cloudProvider.imagePullSecretName }}
- { name: K8S_PULL_SECRET, value: {{ . | quote }} }
{{- end }}
{{- if ne (include "job-chief.settingsFile" .) "{}" }}
- { name: JOB_CHIEF_CONFIG, value: /etc/job-chief-settings/settings.json }
{{- end }}
{{- if .Values.tokenSecret.name }}
- { name: SERVER_TOKEN_FILE, value: {{ printf "/etc/job-chief-tokens/%s" .Values.tokenSecret.key | quote }} }
{{- end }}
{{- if include "job-chief.hasModules" . }}
- { name: MODULES_PATH, value: /etc/job-chief-modules }
{{- end }}
{{- include "job-chief.database" . }}
{{- include "job-chief.certificates" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
