{{/* One alert of files/rules.yaml for this release: the root, the alert, and what prometheusRule.alerts says of it. */}}
{{- define "job-chief.alert" -}}
{{- $root := index . 0 }}
{{- $rule := index . 1 }}
{{- $own := index . 2 }}
{{- $values := $root.Values.prometheusRule }}
{{- $matchers := default (printf "namespace=%q" $root.Release.Namespace) $values.matchers }}
{{- $expr := replace "namespace=~\".*\"" $matchers $rule.expr }}
{{- if hasKey $own "threshold" }}
{{- $expr = regexReplaceAll "[0-9.]+$" $expr (toString $own.threshold) }}
{{- end }}
- alert: {{ $rule.alert }}
  expr: {{ $expr | quote }}
  {{- with default (get $rule "for") $own.for }}
  for: {{ . }}
  {{- end }}
  labels:
    severity: {{ default $rule.labels.severity $own.severity }}
    {{- with $values.alertLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    summary: {{ $rule.annotations.summary | quote }}
    description: {{ $rule.annotations.description | quote }}
    runbook_url: {{ printf "%s/runbooks/%s.md" (trimSuffix "/" $values.runbookBase) $rule.alert | quote }}
{{- end }}
