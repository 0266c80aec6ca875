{{/* What all Pods of the chart are held to: the Pod Security Standard "restricted". */}}
{{- define "airscrew.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "airscrew.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "airscrew.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The same for each container with the engine's program in it. */}}
{{- define "airscrew.container" -}}
image: {{ include "airscrew.image" (list .Values.image .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "airscrew.containerSecurity" . | nindent 2 }}
env:
  - {name: AIRSCREW_CONFIG, value: /etc/airscrew/config/airscrew.yaml}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/airscrew/config, readOnly: true}
  - {name: home, mountPath: /var/lib/airscrew}
  - {name: tmp, mountPath: /tmp}
  {{- if or .Values.etcd.bundled .Values.etcd.existing.tls }}
  - {name: etcd, mountPath: /etc/airscrew/etcd, readOnly: true}
  {{- end }}
  {{- if and (not .Values.etcd.bundled) .Values.etcd.existing.user }}
  - {name: etcd-password, mountPath: /etc/airscrew/etcd-password, readOnly: true}
  {{- end }}
  {{- if .Values.api.enabled }}
  - {name: api, mountPath: /etc/airscrew/api, readOnly: true}
  - {name: api-token, mountPath: /etc/airscrew/api-token, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "airscrew.volumes" -}}
- name: config
  configMap: {name: {{ include "airscrew.fullname" . }}}
- name: home
  emptyDir: {sizeLimit: {{ .Values.homeSize }}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if or .Values.etcd.bundled .Values.etcd.existing.tls }}
- name: etcd
  secret:
    secretName: {{ include "airscrew.etcdSecret" . }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.crt}
      {{- if or .Values.etcd.bundled .Values.etcd.existing.clientCertificate }}
      - {key: client.crt, path: client.crt}
      - {key: client.key, path: client.key}
      {{- end }}
{{- end }}
{{- if and (not .Values.etcd.bundled) .Values.etcd.existing.user }}
- name: etcd-password
  secret:
    secretName: {{ .Values.etcd.existing.password.secret }}
    defaultMode: 0440
    items: [{key: {{ .Values.etcd.existing.password.key }}, path: password}]
{{- end }}
{{- if .Values.api.enabled }}
- name: api
  secret: {secretName: {{ include "airscrew.apiSecret" . }}, defaultMode: 0440}
- name: api-token
  secret:
    secretName: {{ include "airscrew.tokenSecret" . }}
    defaultMode: 0440
    items: [{key: {{ .Values.api.token.key }}, path: token}]
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
