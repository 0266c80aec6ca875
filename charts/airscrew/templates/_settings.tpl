{{/* The store's address: no secret is part of it. */}}
{{- define "airscrew.store" -}}
{{- $etcd := .Values.etcd -}}
{{- $files := "/etc/airscrew/etcd" -}}
{{- if $etcd.bundled -}}
{{- if $etcd.existing.endpoints }}{{ fail "etcd.existing.endpoints has no use with etcd.bundled: set one of them" }}{{ end -}}
{{- printf "etcds://%s-etcd.%s.svc:2379/airscrew?ca=%s/ca.crt&cert=%s/client.crt&key=%s/client.key" (include "airscrew.fullname" .) .Release.Namespace $files $files $files -}}
{{- else -}}
{{- $known := $etcd.existing -}}
{{- $words := list -}}
{{- if $known.tls -}}
{{- $_ := required "etcd.tls.secret is needed for TLS to an existing etcd: a Secret with ca.crt" $etcd.tls.secret -}}
{{- $words = append $words (printf "ca=%s/ca.crt" $files) -}}
{{- if $known.clientCertificate }}{{ $words = concat $words (list (printf "cert=%s/client.crt" $files) (printf "key=%s/client.key" $files)) }}{{ end -}}
{{- if $known.serverName }}{{ $words = append $words (printf "server-name=%s" $known.serverName) }}{{ end -}}
{{- end -}}
{{- if $known.user -}}
{{- $_ := required "etcd.existing.password.secret is needed with etcd.existing.user" $known.password.secret -}}
{{- $words = append $words (printf "user=%s" $known.user) -}}
{{- $words = append $words "password-file=/etc/airscrew/etcd-password/password" -}}
{{- end -}}
{{- if not $known.endpoints }}{{ fail "etcd.existing.endpoints is needed where etcd.bundled is false" }}{{ end -}}
{{- printf "etcd%s://%s/%s%s" (ternary "s" "" $known.tls) (join "," $known.endpoints) (trimAll "/" $known.prefix) (ternary (printf "?%s" (join "&" $words)) "" (gt (len $words) 0)) -}}
{{- end -}}
{{- end -}}

{{/* The engine's settings: the user's, and over them what the chart knows. */}}
{{- define "airscrew.settings" -}}
{{- $own := dict "home" "/var/lib/airscrew/home" "store" (include "airscrew.store" .) -}}
{{- $_ := set $own "health" (dict "address" "0.0.0.0:10254") -}}
{{- $_ := set $own "log" (dict "format" "json" "level" .Values.logLevel) -}}
{{- if .Values.api.enabled -}}
{{- $_ := set $own "listen" (printf "0.0.0.0:%d" (int .Values.api.port)) -}}
{{- $_ := set $own "token_file" "/etc/airscrew/api-token/token" -}}
{{- $tls := dict "certificate" "/etc/airscrew/api/tls.crt" "key" "/etc/airscrew/api/tls.key" -}}
{{- if .Values.api.tls.clientCA }}{{ $_ := set $tls "client_ca" "/etc/airscrew/api/ca.crt" }}{{ end -}}
{{- $_ := set $own "api" $tls -}}
{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- range $id := include "airscrew.executors" . | fromJsonArray -}}
{{- $places := dict "namespaces" (include "airscrew.namespaces" $ | fromJsonArray) "cluster_wide" $.Values.tasks.clusterWide -}}
{{- $_ := set $config "executors" (default dict $config.executors) -}}
{{- $_ := set $config.executors $id (merge $places (default dict (get $config.executors $id))) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config $own) -}}
{{- end -}}
