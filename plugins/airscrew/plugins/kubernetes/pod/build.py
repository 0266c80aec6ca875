"""
From the Pod that a template gives to the manifest of its attempt. Pure: the same for the same attempt, to the byte.

In this order, each step over what the ones before have made:

1. the task's Pod, its texts rendered; a submission's ``pod_template`` in its place
2. the PodTemplate under it
3. every container: variables, secrets, resources; the task's own: image and resources of the submission
4. the data loader of a raw container
5. the Pod: service account, tolerations, selectors, affinity, scheduler, network, DNS, security context
6. accelerator, shared memory, tolerations of extended resources, the volume of the secrets
7. the administrator's policy
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor.context import Locations
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.kubernetes.loader.job import LoaderJob, encode_types
from airscrew.plugins.kubernetes.metadata import make_annotations, make_labels
from airscrew.plugins.kubernetes.pod.config import NVIDIA_GPU, PodConfig
from airscrew.plugins.kubernetes.pod.containers import Additions, other_container, own_container
from airscrew.plugins.kubernetes.pod.data_loader import NO_DOWNLOAD, NO_UPLOAD, data_paths, with_loader
from airscrew.plugins.kubernetes.pod.merge import container_base, with_pod_template
from airscrew.plugins.kubernetes.pod.placement import accelerator_of, placed, tolerating_resources, with_accelerator
from airscrew.plugins.kubernetes.pod.policy import check_references, under_policy
from airscrew.plugins.kubernetes.pod.secrets import secret_parts
from airscrew.plugins.kubernetes.pod.shared_memory import shared_memory_of, with_shared_memory
from airscrew.plugins.kubernetes.pod.source import CONTAINER_FIELDS, PRIMARY_KEY, SourcePod, check_spec
from airscrew.plugins.kubernetes.pod.tree import Tree, child, copied, objects, strings, text, without_empty


@dataclass(frozen=True, slots=True, kw_only=True)
class PodAttempt:
    """
    What of an attempt goes into its Pod.

    Attributes:
        name: The Pod's name: the attempt's key.
        namespace: Where it is.
        labels: From the execution.
        annotations: Likewise.
        service_account: The execution's account; empty for none.
        environment: Variables of the attempt.
        interruptible: Whether it may be put on capacity that can be taken away.
        overrides: What the submission overrides, as plain JSON.
        locations: Where the attempt reads and writes.
    """

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    service_account: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    interruptible: bool = False
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])
    locations: Locations


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPod:
    """
    A Pod to create.

    Attributes:
        manifest: The object, as the API server takes it.
        primary: The task's own container.
        uploads: Whether a data loader uploads the outputs.
    """

    manifest: Tree
    primary: str
    uploads: bool = False


@dataclass(frozen=True, slots=True)
class TemplateChoice:
    """
    The PodTemplate that lies under a Pod.

    Attributes:
        name: Its name; empty for none.
        is_required: Whether the task asks for it by its name.
        namespaces: Where it is looked for, in this order.
    """

    name: str
    is_required: bool
    namespaces: tuple[str, ...]


def choose_pod_template(template: TaskTemplate, namespace: str, config: PodConfig) -> TemplateChoice:
    """Say which PodTemplate is wanted: the task's, else the configured one; and where it may be."""
    own = template.metadata.pod_template_name
    places = tuple(dict.fromkeys(one for one in (namespace, config.pod_template_namespace) if one))
    return TemplateChoice(own or config.pod_template, bool(own), places)


def build_pod(
    source: SourcePod,
    template: TaskTemplate,
    attempt: PodAttempt,
    config: PodConfig,
    *,
    pod_template: Mapping[str, object] | None = None,
    engine_env: Mapping[str, str] | None = None,
) -> BuiltPod:
    """
    Build the Pod of an attempt.

    Args:
        source: The Pod that the template gives, its texts rendered.
        template: The task.
        attempt: The attempt.
        config: The configuration.
        pod_template: The PodTemplate object that ``choose_pod_template`` asks for; None when there is none.
        engine_env: The engine's own variables.

    Raises:
        PermanentError: It can never be created as it is; names the field, the PodTemplate or the key.
    """
    _check_pod_template(template, attempt, config, pod_template)
    check_references(source.spec, config.policy, own=config.loader.env_from_secret)
    spec = dict(source.spec)
    if pod_template is not None:
        spec = with_pod_template(spec, pod_template, primary=source.primary)
        check_spec(spec, "PodTemplate under pod_spec")
    spec = _with_containers(spec, source, template, attempt, config, pod_template, engine_env or {})
    uploads = False
    if source.data_config is not None:
        job = loader_job(source, template, attempt.locations, config)
        base = copied(pod_template) if pod_template is not None else None
        spec = with_loader(spec, source.data_config, job, config.loader, primary=source.primary, pod_template=base)
        uploads = source.data_config.upload_mode != NO_UPLOAD
    spec = _with_pod_fields(spec, template, attempt, config)
    spec = _with_extras(spec, source, template, attempt, config)
    accounts = frozenset(one for one in (attempt.service_account, config.service_account, "default") if one)
    spec = without_empty(under_policy(spec, config.policy, accounts=accounts))
    manifest: Tree = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(source, template, attempt, config, pod_template),
        "spec": spec,
    }
    return BuiltPod(manifest=manifest, primary=source.primary, uploads=uploads)


def loader_job(source: SourcePod, template: TaskTemplate, locations: Locations, config: PodConfig) -> LoaderJob:
    """
    Say what the data loader of a raw container has to do.

    Raises:
        PermanentError: Its folders are not absolute, or the same.
    """
    assert source.data_config is not None, "only raw containers have a data loader"
    input_path, output_path = data_paths(source.data_config)
    return LoaderJob(
        input_uri=locations.input_uri if template.interface.inputs else "",
        input_path=input_path,
        output_path=output_path,
        output_prefix=locations.output_prefix,
        raw_output_prefix=locations.raw_output_prefix,
        form=source.data_config.format,
        wire=template.wire.value,
        outputs=encode_types(template.interface.outputs),
        downloads_values=source.data_config.download_mode != NO_DOWNLOAD,
        max_file_bytes=config.loader.max_file_bytes,
    )


def _check_pod_template(
    template: TaskTemplate, attempt: PodAttempt, config: PodConfig, pod_template: Mapping[str, object] | None
) -> None:
    choice = choose_pod_template(template, attempt.namespace, config)
    if choice.is_required and pod_template is None:
        places = " or ".join(choice.namespaces)
        raise PermanentError(f"there is no PodTemplate {choice.name!r} in {places}", code="PodTemplateNotFound")


def _with_containers(
    spec: Tree,
    source: SourcePod,
    template: TaskTemplate,
    attempt: PodAttempt,
    config: PodConfig,
    pod_template: Mapping[str, object] | None,
    engine_env: Mapping[str, str],
) -> Tree:
    wanted = accelerator_of(template.extended_resources.accelerator, attempt.overrides)
    added = Additions(
        config=config,
        env=attempt.environment,
        engine_env=engine_env,
        secrets=secret_parts(template.security_context.secrets, config.secrets, template.wire),
        gpu_name=config.device_class(wanted.device_class if wanted else NVIDIA_GPU).resource_name,
        overrides=attempt.overrides,
    )
    inline = {text(one, "name"): child(one, "resources") for one in objects(source.spec, "containers")}
    found = dict(spec)
    for group in CONTAINER_FIELDS:
        containers: list[Tree] = []
        for one in objects(spec, group):
            if group == "containers" and text(one, "name") == source.primary:
                base = child(container_base(pod_template, source.primary, primary=source.primary), "resources")
                containers.append(own_container(one, inline[source.primary], base, added))
            else:
                containers.append(other_container(one, added))
        if containers:
            found[group] = containers
    found["volumes"] = [*objects(spec, "volumes"), *added.secrets.volumes]
    return found


def _with_pod_fields(spec: Tree, template: TaskTemplate, attempt: PodAttempt, config: PodConfig) -> Tree:
    """Add what the configuration and the attempt say of the Pod as a whole."""
    found = dict(spec)
    account = attempt.service_account or template.security_context.run_as.k8s_service_account or config.service_account
    if account and not text(spec, "serviceAccountName") and not text(spec, "serviceAccount"):
        found["serviceAccountName"] = account
    found.setdefault("restartPolicy", "Never")
    if config.scheduler_name and not text(spec, "schedulerName"):
        found["schedulerName"] = config.scheduler_name
    if config.host_network is not None:
        found["hostNetwork"] = config.host_network
    if config.default_dns_config and not child(spec, "dnsConfig"):
        found["dnsConfig"] = copied(config.default_dns_config)
    if config.default_pod_security_context and not child(spec, "securityContext"):
        found["securityContext"] = copied(config.default_pod_security_context)
    # Variables of every Service of the namespace are slow to make and no task's business.
    found.setdefault("enableServiceLinks", False)
    return placed(found, config, interruptible=attempt.interruptible)


def _with_extras(spec: Tree, source: SourcePod, template: TaskTemplate, attempt: PodAttempt, config: PodConfig) -> Tree:
    extended = template.extended_resources
    found = with_accelerator(spec, accelerator_of(extended.accelerator, attempt.overrides), config)
    memory = shared_memory_of(extended.shared_memory, attempt.overrides)
    found = with_shared_memory(found, memory, primary=source.primary)
    return tolerating_resources(found, config)


def _metadata(
    source: SourcePod,
    template: TaskTemplate,
    attempt: PodAttempt,
    config: PodConfig,
    pod_template: Mapping[str, object] | None,
) -> Tree:
    base = copied(pod_template or {})
    own = {PRIMARY_KEY: source.primary}
    return {
        "name": attempt.name,
        "namespace": attempt.namespace,
        "labels": make_labels(
            (
                config.default_labels,
                strings(base, "template", "metadata", "labels"),
                source.labels,
                template.metadata.labels,
                attempt.labels,
            )
        ),
        "annotations": make_annotations(
            (
                config.default_annotations,
                strings(base, "template", "metadata", "annotations"),
                source.annotations,
                template.metadata.annotations,
                attempt.annotations,
                own,
            )
        ),
    }
