"""Where Pods may run, and the memory that processes share, clause by clause."""

from __future__ import annotations

from typing import Any

from tests.support.pods import IMAGE, Row, container, own, pod_task, table, task

from airscrew.idl.template import Accelerator, ExtendedResources, SharedMemory

PRIMARY = {"name": "primary", "image": IMAGE}
TERMS = "spec > affinity > nodeAffinity > requiredDuringSchedulingIgnoredDuringExecution > nodeSelectorTerms"
DEVICE, PARTITION = "k8s.amazonaws.com/accelerator", "k8s.amazonaws.com/gpu-partition-size"


def tolerates(key: str, **more: str) -> dict[str, str]:
    return {"key": key, "operator": "Exists", **more}


def equal(key: str, value: str) -> dict[str, str]:
    return {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}


def is_in(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}


def wants(device: str = "nvidia-tesla-t4", gpus: str = "1", **more: Any) -> Any:
    target = container(requests={"gpu": gpus} if gpus else {})
    return task(target, extended_resources=ExtendedResources(accelerator=Accelerator(device=device, **more)))


SPOT = {
    "interruptible": {
        "tolerations": [tolerates("spot")],
        "node_selector": {"capacity": "spot"},
        "requirement": is_in("capacity", "spot"),
        "non_interruptible_requirement": is_in("capacity", "on-demand"),
    }
}

ROWS = [
    Row(
        name="an interruptible attempt tolerates and wants capacity that can be taken away",
        attempt={"interruptible": True},
        config=SPOT,
        expect={
            "spec > tolerations": [tolerates("spot")],
            "spec > nodeSelector": {"capacity": "spot"},
            TERMS: [{"matchExpressions": [is_in("capacity", "spot")]}],
        },
    ),
    Row(
        name="any other attempt keeps away from it",
        config=SPOT,
        expect={
            "spec > tolerations": None,
            "spec > nodeSelector": None,
            TERMS: [{"matchExpressions": [is_in("capacity", "on-demand")]}],
        },
    ),
    Row(
        name="a requirement is added to every term of the task: terms are alternatives",
        template=pod_task(
            PRIMARY,
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [is_in("a", "1")]}, {"matchFields": []}]
                    }
                }
            },
        ),
        config=SPOT,
        expect={
            f"{TERMS} > 0 > matchExpressions": [is_in("a", "1"), is_in("capacity", "on-demand")],
            f"{TERMS} > 1 > matchExpressions": [is_in("capacity", "on-demand")],
        },
    ),
    Row(
        name="tolerations stand by resource, interruptible, default, then the task's own; none twice",
        template=pod_task(
            {**PRIMARY, "resources": {"limits": {"gpu": "1"}}}, tolerations=[tolerates("mine"), tolerates("default")]
        ),
        attempt={"interruptible": True},
        config={
            "resource_tolerations": {"nvidia.com/gpu": [tolerates("gpu")], "example.com/x": [tolerates("x")]},
            "interruptible": {"tolerations": [tolerates("spot")]},
            "default_tolerations": [tolerates("default")],
        },
        expect={"spec > tolerations": [tolerates(key) for key in ("gpu", "spot", "default", "mine")]},
    ),
    Row(
        name="the configured affinity is for Pods that have none",
        config={"default_affinity": {"podAffinity": {"x": 1}}},
        expect={"spec > affinity": {"podAffinity": {"x": 1}}},
    ),
    Row(
        name="a task's own affinity stands alone",
        template=pod_task(PRIMARY, affinity={"podAntiAffinity": {"y": 1}}),
        config={"default_affinity": {"podAffinity": {"x": 1}}},
        expect={"spec > affinity": {"podAntiAffinity": {"y": 1}}},
    ),
    Row(
        name="a device is required of the node, and its taint tolerated",
        template=wants(),
        expect={
            TERMS: [{"matchExpressions": [is_in(DEVICE, "nvidia-tesla-t4")]}],
            "spec > tolerations": [equal(DEVICE, "nvidia-tesla-t4")],
        },
    ),
    Row(
        name="a device without a GPU is no requirement",
        template=wants(gpus=""),
        expect={"spec > affinity": None, "spec > tolerations": None},
    ),
    Row(
        name="a device is for the Pod if any of its containers has it",
        template=pod_task({**PRIMARY, "resources": {"limits": {"gpu": "1"}}}, {"name": "side", "image": "i"}),
        attempt={"overrides": {"extended_resources": {"gpuAccelerator": {"device": "d"}}}},
        expect={f"{TERMS} > 0 > matchExpressions": [is_in(DEVICE, "d")]},
    ),
    Row(
        name="a partition size is required and tolerated",
        template=wants(partition_size="1g.5gb"),
        expect={
            f"{TERMS} > 0 > matchExpressions": [is_in(DEVICE, "nvidia-tesla-t4"), is_in(PARTITION, "1g.5gb")],
            "spec > tolerations": [equal(DEVICE, "nvidia-tesla-t4"), equal(PARTITION, "1g.5gb")],
        },
    ),
    Row(
        name="a whole device is on a node without partitions",
        template=wants(unpartitioned=True),
        expect={
            f"{TERMS} > 0 > matchExpressions > 1": {"key": PARTITION, "operator": "DoesNotExist"},
            "spec > tolerations": [equal(DEVICE, "nvidia-tesla-t4")],
        },
    ),
    Row(
        name="where whole devices are told otherwise, the configuration says how",
        template=wants(unpartitioned=True),
        config={
            "accelerators": {
                "NVIDIA_GPU": {
                    "resource_name": "nvidia.com/gpu",
                    "device_label": "gpu-kind",
                    "partition_label": "gpu-part",
                    "unpartitioned_requirement": is_in("gpu-part", "whole"),
                    "unpartitioned_toleration": equal("gpu-part", "whole"),
                }
            }
        },
        expect={
            f"{TERMS} > 0 > matchExpressions": [is_in("gpu-kind", "nvidia-tesla-t4"), is_in("gpu-part", "whole")],
            "spec > tolerations": [equal("gpu-kind", "nvidia-tesla-t4"), equal("gpu-part", "whole")],
        },
    ),
    Row(
        name="the submission's accelerator replaces the task's",
        template=wants(partition_size="1g.5gb"),
        attempt={"overrides": {"extended_resources": {"gpuAccelerator": {"device": "nvidia-tesla-a100"}}}},
        expect={f"{TERMS} > 0 > matchExpressions": [is_in(DEVICE, "nvidia-tesla-a100")]},
    ),
    Row(
        name="a device class has labels of its own",
        template=wants(),
        attempt={
            "overrides": {
                "extended_resources": {
                    "gpuAccelerator": {"device": "tpu-v5", "deviceClass": "GOOGLE_TPU", "partitionSize": "2x2"}
                }
            }
        },
        expect={
            f"{TERMS} > 0 > matchExpressions": [
                is_in("cloud.google.com/gke-tpu-accelerator", "tpu-v5"),
                is_in("cloud.google.com/gke-tpu-topology", "2x2"),
            ]
        },
    ),
    Row(
        name="a device class that nobody knows is that of GPUs",
        template=wants(),
        attempt={"overrides": {"extended_resources": {"gpuAccelerator": {"device": "d", "deviceClass": "QUANTUM"}}}},
        expect={f"{TERMS} > 0 > matchExpressions": [is_in(DEVICE, "d")]},
    ),
    Row(
        name="taints of extended resources are tolerated when a container has them, once",
        template=pod_task(
            {**PRIMARY, "resources": {"limits": {"gpu": "1"}}},
            initContainers=[{"name": "i", "image": "i", "resources": {"limits": {"example.com/x": "1"}}}],
            tolerations=[tolerates("nvidia.com/gpu", effect="NoSchedule")],
        ),
        config={"tolerate_resources": ["nvidia.com/gpu", "example.com/x", "example.com/y"]},
        expect={
            "spec > tolerations": [
                tolerates("nvidia.com/gpu", effect="NoSchedule"),
                tolerates("example.com/x", effect="NoSchedule"),
            ]
        },
    ),
]


@table(ROWS)
def test_where_a_pod_may_run(row: Row) -> None:
    row.check()


def shares(name: str = "shm", path: str = "/dev/shm", size: str = "", **pod: Any) -> Any:
    memory = SharedMemory(mount_name=name, mount_path=path, size_limit=size)
    from airscrew.idl.template import K8sPod

    main = {**PRIMARY, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    spec = {"containers": [main, {"name": "side", "image": "i"}], "volumes": [{"name": "data", "emptyDir": {}}]}
    return task(K8sPod(pod_spec={**spec, **pod}), extended_resources=ExtendedResources(shared_memory=memory))


BAD = "BadTaskSpecification"
FIELD = "extended_resources.shared_memory"
SHARED = [
    Row(
        name="it is a volume in memory, in the task's own container alone",
        template=shares(),
        expect={
            "spec > volumes > shm": {"name": "shm", "emptyDir": {"medium": "Memory"}},
            own("volumeMounts > /dev/shm"): {"name": "shm", "mountPath": "/dev/shm"},
            "spec > containers > side > volumeMounts": None,
        },
    ),
    Row(
        name="a size that is given is its limit",
        template=shares(size="2Gi"),
        expect={"spec > volumes > shm > emptyDir > sizeLimit": "2Gi"},
    ),
    Row(
        name="the submission's replaces the task's",
        template=shares(size="2Gi"),
        attempt={
            "overrides": {
                "extended_resources": {"sharedMemory": {"mountName": "m", "mountPath": "/m", "sizeLimit": "1Gi"}}
            }
        },
        expect={"spec > volumes > m > emptyDir > sizeLimit": "1Gi", "spec > volumes > shm": None},
    ),
    Row(name="it needs a name", template=shares(name=""), code=BAD, says=f"{FIELD}.mount_name: is empty"),
    Row(name="it needs a path", template=shares(path=""), code=BAD, says=f"{FIELD}.mount_path: is empty"),
    Row(name="its name must be free", template=shares(name="data"), code=BAD, says="the name of another volume"),
    Row(name="its path must be free", template=shares(path="/data"), code=BAD, says="where another volume is mounted"),
    Row(name="its size must be one", template=shares(size="big"), code=BAD, says=f"{FIELD}.size_limit: 'big' is no"),
    Row(name="its size is not zero", template=shares(size="0"), code=BAD, says=f"{FIELD}.size_limit: '0' is no"),
]


@table(SHARED)
def test_shared_memory(row: Row) -> None:
    row.check()
