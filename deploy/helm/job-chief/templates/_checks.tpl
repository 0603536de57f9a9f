{{/* What the schema can't say: each wrong combination ends with one sentence. */}}
{{- define "job-chief.checks" -}}
{{- $db := .Values.dbConfig }}
{{- $sources := 0 }}
{{- range list .Values.jobs .Values.jobsJson .Values.jobsConfigMap }}{{ if . }}{{ $sources = add1 $sources }}{{ end }}{{ end }}
{{- if eq (int $sources) 0 }}
{{- fail "jobs: at least one entry is needed; give jobs, or jobsConfigMap, or --set-file jobsJson=jobs.json" }}
{{- end }}
{{- if gt (int $sources) 1 }}
{{- fail "jobs, jobsJson, jobsConfigMap: give only one of them" }}
{{- end }}
{{- if and (not .Values.jobsConfigMap) (not (include "job-chief.entries" . | fromJson).jobs) }}
{{- fail "jobs: at least one entry is needed below jobs.jobs" }}
{{- end }}
{{- if and $db.url $db.urlSecret.name }}
{{- fail "dbConfig.url, dbConfig.urlSecret.name: give only one of them" }}
{{- end }}
{{- if and (not (include "job-chief.hasUrl" .)) (not $db.host) }}
{{- fail "dbConfig: say where Postgres is: urlSecret.name names a Secret with its URL, or host and passwordSecret.name" }}
{{- end }}
{{- if and (not (include "job-chief.hasUrl" .)) (not $db.passwordSecret.name) (not $db.password) }}
{{- fail "dbConfig.passwordSecret.name: name the Secret with the password of Postgres" }}
{{- end }}
{{- if and $db.sslAuth.enabled (not $db.sslAuth.secretName) }}
{{- fail "dbConfig.sslAuth.secretName: name the Secret with the certificates" }}
{{- end }}
{{- if and .Values.migrate.enabled (not .Values.migrate.urlSecret.name) }}
{{- fail "migrate.urlSecret.name: name a Secret, made before, with the URL of a role that owns the schema" }}
{{- end }}
{{- if and .Values.modules.volume .Values.modules.configMaps }}
{{- fail "modules.volume, modules.configMaps: give only one of them" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) }}
{{- fail "serviceMonitor.enabled: needs service.enabled; podMonitor.enabled does without" }}
{{- end }}
{{- if .Values.prometheusRule.enabled }}
{{- $known := dict }}
{{- range (.Files.Get "files/rules.yaml" | fromYaml).groups }}{{ range .rules }}{{ $_ := set $known .alert .expr }}{{ end }}{{ end }}
{{- range $name, $own := .Values.prometheusRule.alerts }}
{{- if not (hasKey $known $name) }}
{{- fail (printf "prometheusRule.alerts.%s: no alert is called so; there are %s" $name (keys $known | sortAlpha | join ", ")) }}
{{- end }}
{{- if and (hasKey $own "threshold") (regexMatch "== [01]$" (get $known $name)) }}
{{- fail (printf "prometheusRule.alerts.%s.threshold: it is a matter of yes or no; for says after how long" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (hasSuffix "k8s-job-chief" .Values.image.repository) (regexMatch "^v?1\\." .Values.image.tag) }}
{{- fail (printf "image: %s:%s is the TypeScript job-chief; name an image of this one" .Values.image.repository .Values.image.tag) }}
{{- end }}
{{- end }}
