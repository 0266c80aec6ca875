{{- define "airscrew.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "airscrew.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "airscrew.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "airscrew.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What no other release in the cluster is called: for objects without a namespace. */}}
{{- define "airscrew.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "airscrew.fullname" .) -}}
{{- end -}}

{{/* Labels that never change: (list $ "controller") */}}
{{- define "airscrew.selector" -}}
app.kubernetes.io/name: {{ include "airscrew.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "airscrew.labels" -}}
{{ include "airscrew.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "airscrew.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "airscrew.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image by its digest, else its tag: (list image defaultTag) */}}
{{- define "airscrew.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where Pods of tasks may be, as JSON. */}}
{{- define "airscrew.namespaces" -}}
{{- if .Values.tasks.clusterWide -}}
{{- if .Values.tasks.namespaces }}{{ fail "tasks.namespaces and tasks.clusterWide exclude each other" }}{{ end -}}
[]
{{- else -}}
{{- default (list .Release.Namespace) .Values.tasks.namespaces | uniq | toJson -}}
{{- end -}}
{{- end -}}

{{/* The executors that are on and declare rights, as JSON: by config.enabled_executors, else by config.executors. */}}
{{- define "airscrew.executors" -}}
{{- $config := .Values.config -}}
{{- $on := list -}}
{{- range $id, $rules := .Files.Get "files/rights.yaml" | fromYaml -}}
{{- $listed := get $config "enabled_executors" -}}
{{- if ternary (has $id (default list $listed)) (hasKey (default dict $config.executors) $id) (kindIs "slice" $listed) -}}
{{- $on = append $on $id -}}
{{- end -}}
{{- end -}}
{{- toJson $on -}}
{{- end -}}
