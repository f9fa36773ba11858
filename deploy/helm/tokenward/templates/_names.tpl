{{- define "tokenward.name" -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{- end }}
{{- define "tokenward.labels" -}}
app.kubernetes.io/name: tokenward
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
{{- define "tokenward.selector" -}}
app.kubernetes.io/name: tokenward
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
