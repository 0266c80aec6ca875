{{/* Grafana's JSON of files/dashboard.yaml: three panels beside each other, rows below each other. */}}
{{- define "airscrew.dashboard" -}}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" -}}
{{- $panels := list -}}
{{- $y := 0 -}}
{{- range .Files.Get "files/dashboard.yaml" | fromYamlArray -}}
{{- $panels = append $panels (dict "type" "row" "title" .row "collapsed" false "panels" list "id" (add1 (len $panels)) "gridPos" (dict "x" 0 "y" $y "w" 24 "h" 1)) -}}
{{- $y = add1 $y -}}
{{- range $place, $panel := .panels -}}
{{- $targets := list -}}
{{- range $number, $query := $panel.queries -}}
{{- $expr := index $query 0 | replace "$where" "namespace=\"$namespace\",service=\"$service\"" -}}
{{- $targets = append $targets (dict "refId" (printf "%c" (add 65 $number | int)) "datasource" $source "expr" $expr "legendFormat" (index $query 1)) -}}
{{- end -}}
{{- $at := dict "x" (mul 8 (mod $place 3)) "y" (add $y (mul 7 (div $place 3))) "w" 8 "h" 7 -}}
{{- $panels = append $panels (dict "type" "timeseries" "title" $panel.title "id" (add1 (len $panels)) "gridPos" $at "datasource" $source "targets" $targets "fieldConfig" (dict "defaults" (dict "unit" $panel.unit "min" 0) "overrides" list) "options" dict) -}}
{{- end -}}
{{- $y = add $y (mul 7 (div (add (len .panels) 2) 3)) -}}
{{- end -}}
{{- $choice := dict "type" "query" "refresh" 2 "datasource" $source -}}
{{- $variables := list (dict "type" "datasource" "name" "datasource" "query" "prometheus") -}}
{{- $variables = append $variables (merge (dict "name" "namespace" "query" "label_values(airscrew_build_info, namespace)") $choice) -}}
{{- $variables = append $variables (merge (dict "name" "service" "query" "label_values(airscrew_build_info{namespace=\"$namespace\"}, service)") $choice) -}}
{{- dict "title" "airscrew" "uid" "airscrew" "schemaVersion" 39 "editable" true "refresh" "30s" "tags" (list "airscrew") "time" (dict "from" "now-3h" "to" "now") "templating" (dict "list" $variables) "panels" $panels | toJson -}}
{{- end -}}
