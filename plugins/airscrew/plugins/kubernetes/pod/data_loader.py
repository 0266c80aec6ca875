"""
The data loader of a raw container: two containers and two volumes more. Pure.

    airscrew-download   init container: lays the inputs out as files before any other container runs
    airscrew-upload     native sidecar: is told to stop when the task's containers are over, and uploads then

The uploader has the Pod's grace period for its work. Access to the storage comes from a Secret as variables, or from
the Pod's service account: never from arguments. No other container sees that Secret, and none may look into the
loader's processes.
"""

from __future__ import annotations

from collections.abc import Mapping

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import ErrorKind
from airscrew.idl.template import DataConfig
from airscrew.plugins.kubernetes.loader.job import MODULE, READY_PATH, VARIABLE, LoaderJob
from airscrew.plugins.kubernetes.pod.config import Loader
from airscrew.plugins.kubernetes.pod.merge import LOADER_INIT, loader_base, merged_container
from airscrew.plugins.kubernetes.pod.tree import Tree, bad, objects, text, without_empty

DOWNLOADER = LOADER_INIT
UPLOADER = "airscrew-upload"
INPUTS, OUTPUTS = "airscrew-inputs", "airscrew-outputs"
INPUT_PATH, OUTPUT_PATH = "/var/inputs", "/var/outputs"
_IS_READY = f"import os, sys; sys.exit(not os.path.exists({READY_PATH!r}))"
_READY: Tree = {
    "exec": {"command": ["python", "-S", "-c", _IS_READY]},
    "periodSeconds": 1,
    "failureThreshold": 120,
    "timeoutSeconds": 10,
}
"""The task begins once its uploader would hear of its end."""

NO_UPLOAD = "DO_NOT_UPLOAD"
NO_DOWNLOAD = "DO_NOT_DOWNLOAD"


def data_paths(data: DataConfig) -> tuple[str, str]:
    """
    Give the folders for inputs and outputs.

    Raises:
        PermanentError: They are not absolute, or the same.
    """
    paths = (data.input_path or INPUT_PATH, data.output_path or OUTPUT_PATH)
    for field, path in zip(("input_path", "output_path"), paths, strict=True):
        if not path.startswith("/") or ".." in path.split("/"):
            raise bad(f"data_config.{field}", f"{path!r} is no absolute path")
    if paths[0].rstrip("/") == paths[1].rstrip("/"):
        raise bad("data_config.output_path", f"{paths[1]!r} is where the inputs are: use another folder")
    return paths


def with_loader(
    spec: Tree, data: DataConfig, job: LoaderJob, config: Loader, *, primary: str, pod_template: Tree | None
) -> Tree:
    """
    Add the data loader.

    Args:
        spec: The Pod's specification, its own containers complete.
        data: What the template says.
        job: What the loader has to do.
        config: How it runs.
        primary: The task's own container.
        pod_template: The PodTemplate under the Pod, if there is one.

    Raises:
        PermanentError: No image is configured, a name is taken, or the loader could be looked into.
    """
    _check(spec, config)
    mounts: dict[str, Tree] = {
        INPUTS: {"name": INPUTS, "mountPath": job.input_path},
        OUTPUTS: {"name": OUTPUTS, "mountPath": job.output_path},
    }
    loaders = [_container(DOWNLOADER, "download", mounts[INPUTS], job, config, pod_template)]
    if data.upload_mode != NO_UPLOAD:
        mount = {**mounts[OUTPUTS], "readOnly": True}
        sidecar = _container(UPLOADER, "upload", mount, job, config, pod_template)
        loaders.append({**sidecar, "restartPolicy": "Always", "startupProbe": _READY})
    own = spec.get("terminationGracePeriodSeconds")
    grace = max(config.upload_timeout, own if isinstance(own, int) else 0)
    return {
        **spec,
        "initContainers": [*loaders, *objects(spec, "initContainers")],
        "containers": [
            {**one, "volumeMounts": [*objects(one, "volumeMounts"), *mounts.values()]}
            if text(one, "name") == primary
            else one
            for one in objects(spec, "containers")
        ],
        "volumes": [*objects(spec, "volumes"), *({"name": name, "emptyDir": {}} for name in mounts)],
        "terminationGracePeriodSeconds": grace,
    }


def _check(spec: Mapping[str, object], config: Loader) -> None:
    if not config.image:
        raise PermanentError(
            "a raw container needs the data loader: name an image with airscrew in executors.pod.loader.image",
            code="LoaderNotConfigured",
            kind=ErrorKind.SYSTEM,
        )
    if spec.get("shareProcessNamespace") and config.env_from_secret:
        raise bad("pod_spec.shareProcessNamespace", "the data loader's credentials could be read: leave it out")
    for field in ("containers", "initContainers", "volumes"):
        for one in objects(spec, field):
            if text(one, "name") in {DOWNLOADER, UPLOADER, INPUTS, OUTPUTS}:
                raise bad(f"pod_spec.{field}", f"the name {text(one, 'name')!r} is the data loader's")


def _container(name: str, verb: str, mount: Tree, job: LoaderJob, config: Loader, pod_template: Tree | None) -> Tree:
    env = [{"name": key, "value": value} for key, value in sorted(config.env.items())]
    own = without_empty(
        {
            "name": name,
            "image": config.image,
            "imagePullPolicy": config.image_pull_policy,
            "command": ["python", "-m", MODULE],
            "args": [verb],
            "env": [*env, {"name": VARIABLE, "value": job.encode().replace("$(", "$$(")}],
            "envFrom": [{"secretRef": {"name": config.env_from_secret}}] if config.env_from_secret else [],
            "resources": without_empty({"requests": config.requests, "limits": config.limits}),
            "volumeMounts": [mount],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": {"allowPrivilegeEscalation": False},
        }
    )
    return merged_container(loader_base(pod_template, name), own)
