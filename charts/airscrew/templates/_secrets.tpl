{{/*
Secrets that the chart makes: once, and kept from then on. What is in the cluster is taken again at each upgrade; within
one rendering all see the same.
*/}}
{{- define "airscrew.made" -}}
{{- if not (hasKey .Values "made") -}}{{- $_ := set .Values "made" dict -}}{{- end -}}
{{- end -}}

{{- define "airscrew.etcdSecret" -}}
{{- default (printf "%s-etcd" (include "airscrew.fullname" .)) .Values.etcd.tls.secret -}}
{{- end -}}

{{- define "airscrew.apiSecret" -}}
{{- default (printf "%s-api" (include "airscrew.fullname" .)) .Values.api.tls.secret -}}
{{- end -}}

{{- define "airscrew.tokenSecret" -}}
{{- default (printf "%s-token" (include "airscrew.fullname" .)) .Values.api.token.secret -}}
{{- end -}}

{{/* The data of a Secret that is there, or of a new one: (list $ name makerTemplate) */}}
{{- define "airscrew.keptData" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- include "airscrew.made" $root -}}
{{- if not (hasKey $root.Values.made $name) -}}
{{- $there := lookup "v1" "Secret" $root.Release.Namespace $name -}}
{{- $data := "" -}}
{{- if and $there $there.data }}{{ $data = toYaml $there.data }}{{ else }}{{ $data = include (index . 2) $root | fromYaml | toYaml }}{{ end -}}
{{- $_ := set $root.Values.made $name $data -}}
{{- end -}}
{{- get $root.Values.made $name -}}
{{- end -}}

{{- define "airscrew.newEtcdData" -}}
{{- $host := printf "%s-etcd" (include "airscrew.fullname" .) -}}
{{- $names := list $host (printf "%s.%s" $host .Release.Namespace) (printf "%s.%s.svc" $host .Release.Namespace) "localhost" -}}
{{- $ca := genCA (printf "%s-ca" $host) 3650 -}}
{{- $server := genSignedCert $host (list "127.0.0.1") $names 3650 $ca -}}
{{- $client := genSignedCert (include "airscrew.fullname" .) nil nil 3650 $ca -}}
ca.crt: {{ $ca.Cert | b64enc }}
server.crt: {{ $server.Cert | b64enc }}
server.key: {{ $server.Key | b64enc }}
client.crt: {{ $client.Cert | b64enc }}
client.key: {{ $client.Key | b64enc }}
{{- end -}}

{{- define "airscrew.newApiData" -}}
{{- $host := include "airscrew.fullname" . -}}
{{- $names := list $host (printf "%s.%s" $host .Release.Namespace) (printf "%s.%s.svc" $host .Release.Namespace) "localhost" -}}
{{- $ca := genCA (printf "%s-ca" $host) 3650 -}}
{{- $server := genSignedCert $host (list "127.0.0.1") $names 3650 $ca -}}
ca.crt: {{ $ca.Cert | b64enc }}
tls.crt: {{ $server.Cert | b64enc }}
tls.key: {{ $server.Key | b64enc }}
{{- end -}}

{{- define "airscrew.newTokenData" -}}
{{ .Values.api.token.key }}: {{ randAlphaNum 43 | b64enc }}
{{- end -}}

{{/*
What changes when a Secret does, so that Pods are made anew: of one that the chart makes its sum, of another one its
version, since the sum of a password could be guessed from.
*/}}
{{- define "airscrew.secretsSum" -}}
{{- $parts := list -}}
{{- $names := list -}}
{{- if .Values.etcd.tls.secret }}{{ $names = append $names .Values.etcd.tls.secret -}}
{{- else if .Values.etcd.bundled }}{{ $parts = append $parts (include "airscrew.keptData" (list . (include "airscrew.etcdSecret" .) "airscrew.newEtcdData")) }}{{ end -}}
{{- if and (not .Values.etcd.bundled) .Values.etcd.existing.user }}{{ $names = append $names .Values.etcd.existing.password.secret }}{{ end -}}
{{- if .Values.api.enabled -}}
{{- if .Values.api.tls.secret }}{{ $names = append $names .Values.api.tls.secret -}}
{{- else }}{{ $parts = append $parts (include "airscrew.keptData" (list . (include "airscrew.apiSecret" .) "airscrew.newApiData")) }}{{ end -}}
{{- if .Values.api.token.secret }}{{ $names = append $names .Values.api.token.secret -}}
{{- else }}{{ $parts = append $parts (include "airscrew.keptData" (list . (include "airscrew.tokenSecret" .) "airscrew.newTokenData")) }}{{ end -}}
{{- end -}}
{{- range $names -}}
{{- $there := lookup "v1" "Secret" $.Release.Namespace . -}}
{{- if $there }}{{ $parts = append $parts (printf "%s/%s" $there.metadata.uid $there.metadata.resourceVersion) }}{{ end -}}
{{- end -}}
{{- join "\n" $parts | sha256sum -}}
{{- end -}}
