"""
Values that operators set, each set a combination that has to render, lint, and be taken by an API server.
"""

from __future__ import annotations

from typing import Any

Values = dict[str, Any]

EXISTING: Values = {
    "bundled": False,
    "tls": {"secret": "etcd-client"},
    "existing": {"endpoints": ["etcd-0.etcd:2379", "etcd-1.etcd:2379"], "prefix": "/team/airscrew"},
}
PASSWORD: Values = {"user": "engine", "password": {"secret": "etcd-user", "key": "secret"}}
WATCHED: Values = {
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True},
}
PLACED: Values = {
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "system-cluster-critical",
    "imagePullSecrets": [{"name": "registry"}],
    "podLabels": {"team": "data"},
    "podAnnotations": {"example.com/note": "yes"},
}
EXTRA: Values = {
    "extraEnv": [
        {"name": "AWS_REGION", "value": "eu-central-1"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "more", "key": "token"}}},
    ],
    "extraEnvFrom": [{"secretRef": {"name": "storage"}}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/own", "readOnly": True}],
}
COMBINATIONS: dict[str, Values] = {
    "as it comes": {},
    "one controller": {"replicas": 1},
    "an existing etcd": {"etcd": EXISTING},
    "an existing etcd with a password": {"etcd": {**EXISTING, "existing": {**EXISTING["existing"], **PASSWORD}}},
    "an existing etcd without TLS": {
        "etcd": {"bundled": False, "existing": {"endpoints": ["etcd:2379"], "tls": False, **PASSWORD}}
    },
    "an etcd without a volume": {"etcd": {"persistence": {"enabled": False}}},
    "an etcd of a storage class": {"etcd": {"persistence": {"storageClass": "fast", "size": "20Gi"}}},
    "two namespaces": {"tasks": {"namespaces": ["one", "two"]}},
    "the whole cluster": {"tasks": {"clusterWide": True}},
    "without roles": {"rbac": {"create": False}, "serviceAccount": {"create": False, "name": "mine"}},
    "without Pods": {"config": {"executors": {"pod": None}}},
    "named executors": {"config": {"enabled_executors": ["pod", "echo"]}},
    "without an interface": {"api": {"enabled": False}},
    "secrets of others": {"api": {"tls": {"secret": "tls", "clientCA": True}, "token": {"secret": "token"}}},
    "watched": {"metrics": WATCHED},
    "placed": PLACED,
    "with more": EXTRA,
    "by digest": {"image": {"repository": "example.com/airscrew", "digest": f"sha256:{'0' * 64}"}},
    "closed": {
        "networkPolicy": {
            "apiFrom": [{"podSelector": {"matchLabels": {"app": "clients"}}}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "egress": [{"ports": [{"protocol": "TCP", "port": 443}]}],
        }
    },
    "open": {"networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}, "topologySpread": False},
    "kept at the end": {"uninstall": {"tasks": "keep"}},
    "forgotten at the end": {"uninstall": {"state": "delete", "timeoutSeconds": 60}},
    "without an end": {"uninstall": {"enabled": False}},
    "at once": {"preStopSeconds": 0},
    "everything": {
        **PLACED,
        **EXTRA,
        "metrics": WATCHED,
        "tasks": {"namespaces": ["one", "two"]},
        "config": {
            "data_prefix": "s3://bucket/airscrew",
            "timeouts": {"total": "1d"},
            "workers": 32,
            "executors": {"pod": {"service_account": "tasks"}},
        },
        "fullnameOverride": "engine",
        "service": {"type": "LoadBalancer", "annotations": {"example.com/lb": "internal"}},
    },
}
