{{/* jobs.json, and what of it becomes a Service. */}}

{{/* The text of jobs.json. */}}
{{- define "job-chief.jobsJson" -}}
{{- if .Values.jobsJson }}{{ .Values.jobsJson | trim }}{{ else }}{{ toPrettyJson .Values.jobs }}{{ end }}
{{- end }}

{{/* The same as JSON, `{"defaults": …, "jobs": […]}`. Comments are taken out of a text, but not what looks like one in a string. */}}
{{- define "job-chief.entries" -}}
{{- $jobs := .Values.jobs }}
{{- if .Values.jobsJson }}
{{- $plain := regexReplaceAll `("(?:\\.|[^"\\])*")|//[^\n]*|(?s:/\*.*?\*/)` .Values.jobsJson "${1}" | trim }}
{{- $isList := hasPrefix "[" $plain }}
{{- if $isList }}{{ $jobs = fromJsonArray $plain }}{{ else }}{{ $jobs = fromJson $plain }}{{ end }}
{{- $broken := hasKey (ternary dict $jobs $isList) "Error" }}
{{- if and $isList $jobs }}{{ $broken = kindIs "string" (first $jobs) }}{{ end }}
{{- if $broken }}
{{- fail "jobsJson: this is no JSON; `job-chief validate` says where" }}
{{- end }}
{{- end }}
{{- ternary (dict "jobs" $jobs) $jobs (kindIs "slice" $jobs) | toJson }}
{{- end }}

{{/* The services with ports, as JSON `{"services": [{"name": …, "ports": […]}]}`. */}}
{{- define "job-chief.services" -}}
{{- $file := include "job-chief.entries" . | fromJson }}
{{- $defaults := default dict $file.defaults }}
{{- $found := list }}
{{- range $file.jobs }}
{{- $ports := default $defaults.ports .ports }}
{{- if and (eq (default "" (default $defaults.type .type)) "service") $ports }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$" (default "" .name)) }}
{{- fail (printf "jobs: the service %q has ports, and no Service can have its name (small letters, digits and -, a letter first): rename it, or set services.enabled=false" (default "" .name)) }}
{{- end }}
{{- $found = append $found (dict "name" .name "ports" $ports) }}
{{- end }}
{{- end }}
{{- dict "services" $found | toJson }}
{{- end }}
