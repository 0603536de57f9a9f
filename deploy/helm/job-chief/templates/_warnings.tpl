{{/* What the release does not do although its values say so, a line each. */}}
{{- define "job-chief.warnings" -}}
{{- $global := default dict .Values.global }}
{{- range $key := list "protocol" "responseCompressionEnabled" "requestPayloadLimit" "tracing" "metrics" }}
{{- if hasKey $.Values.env $key }}
env.{{ $key }} means nothing to this job-chief{{ if eq $key "metrics" }}: /metrics is always there{{ end }}.
{{- end }}
{{- end }}
{{- range $key := list "tracing" "metrics" }}
{{- if get $global $key }}
global.{{ $key }} means nothing to this job-chief.
{{- end }}
{{- end }}
{{- if hasKey .Values.dbConfig "deleteAfterHours" }}
dbConfig.deleteAfterHours means nothing to this job-chief: pg-boss deletes its own messages.
{{- end }}
{{- if .Values.caSecretName }}
caSecretName, caKey are not mounted: the authority of Postgres comes with dbConfig.sslAuth, any other with extraVolumes.
{{- end }}
{{- if and .Values.ingress.enabled .Values.ingress.cors }}
ingress.cors is not set up: say it in ingress.annotations, in the words of your Ingress controller.
{{- end }}
{{- if include "job-chief.hasSecret" . }}
The way to Postgres stands in the values of this release; dbConfig.urlSecret or dbConfig.passwordSecret keeps it out.
{{- end }}
{{- if and .Values.dbConfig.password (or .Values.dbConfig.passwordSecret.name (include "job-chief.hasUrl" .)) }}
dbConfig.password is not used, as a Secret or a URL is given.
{{- end }}
{{- if hasSuffix "k8s-job-chief" .Values.image.repository }}
The image {{ include "job-chief.image" . }} has to hold this job-chief; the TypeScript one does not start here.
{{- end }}
{{- if and (include "job-chief.hasModules" .) (not .Values.rbac.apply) }}
Modules may consist of JobConfigs and Jobs only: rbac.apply adds the rights for ConfigMaps, Services, Deployments and the like.
{{- end }}
{{- if not .Values.rbac.create }}
No Role was made: job-chief needs the rules that `job-chief rbac` prints.
{{- end }}
{{- end }}
