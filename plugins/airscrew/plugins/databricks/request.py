"""
From flytekit's Databricks task to a one-time run: its compute, and what is run on it. Pure.

The same as flytekit's connector makes of it, in the form of the API's version 2.1: what belongs to a task stands in
the run's one task, what belongs to the run beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from airscrew.engine.errors import PermanentError
from airscrew.idl.struct_fields import struct_to_json
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.databricks.config import DatabricksConfig, host_of

JsonObject = dict[str, object]

TASK_KEY = "airscrew"
OF_THE_RUN = frozenset(
    {
        "access_control_list",
        "budget_policy_id",
        "email_notifications",
        "environment_variables",
        "environments",
        "git_source",
        "health",
        "notification_settings",
        "performance_target",
        "queue",
        "run_as",
        "run_name",
        "timeout_seconds",
        "usage_policy_id",
        "webhook_notifications",
    }
)
"""Members of ``databricksConf`` that are the run's; all others are its task's."""

_OURS = frozenset({"tasks", "job_clusters", "spark_python_task", "notebook_task", "spark_jar_task", "task_key"})
_NAME_LIMIT = 4096
_VERSION_WITH_VARIABLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    What a run is to do; all of it rendered.

    Attributes:
        name: What the run is called when the task does not say.
        image: The container's image; empty for none.
        arguments: The container's arguments.
        environment: Variables for a cluster that is made for the run, and for serverless compute.
        parameters: Of a notebook.
    """

    name: str
    image: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    parameters: Mapping[str, str]


def conf_of(template: TaskTemplate, config: DatabricksConfig) -> JsonObject:
    """
    Return a task's ``databricksConf``.

    Raises:
        PermanentError: There is none, it is for another workspace, or it says what is not the task's to say.
    """
    custom = struct_to_json(template.message.custom, whole_as_int=True)
    conf = custom.get("databricksConf")
    if not isinstance(conf, dict) or not conf:
        raise _refusal("custom.databricksConf is empty: this is a Spark task for something else than Databricks")
    named = custom.get("databricksInstance")
    if isinstance(named, str) and named and host_of(named) != host_of(config.url):
        raise _refusal(
            f"custom.databricksInstance is {named!r}, and executors.databricks.url is another workspace: the"
            " credential is sent to that one alone"
        )
    made: JsonObject = {name: value for name, value in cast("JsonObject", conf).items() if value is not None}
    for name in sorted(made.keys() & _OURS):
        raise _refusal(f"custom.databricksConf.{name}: what is run is made from the task; leave it out")
    is_serverless = bool(made.get("environment_key") or made.get("environments"))
    if "new_cluster" not in made and "existing_cluster_id" not in made and not is_serverless:
        raise _refusal(
            "custom.databricksConf names no compute: use new_cluster, existing_cluster_id, environment_key or"
            " environments"
        )
    return made


def notebook_of(template: TaskTemplate) -> tuple[str, dict[str, str]]:
    """Return a task's notebook and its parameters, still with template variables; an empty path for a Python task."""
    path, given = template.custom.get("notebookPath"), template.custom.get("notebookBaseParameters")
    parameters: Mapping[str, object] = cast("Mapping[str, object]", given) if isinstance(given, Mapping) else {}
    return path if isinstance(path, str) else "", {name: str(value) for name, value in parameters.items()}


def run_of(template: TaskTemplate, conf: Mapping[str, object], work: Work, config: DatabricksConfig) -> JsonObject:
    """
    Make what is submitted, but for the token.

    Args:
        template: The task.
        conf: Its ``databricksConf``, checked.
        work: What is to be done.
        config: Says what runs Python tasks.

    Raises:
        PermanentError: A member is not of its type; names it.
    """
    run: JsonObject = {name: value for name, value in conf.items() if name in OF_THE_RUN}
    task: JsonObject = {name: value for name, value in conf.items() if name not in OF_THE_RUN}
    run["run_name"] = str(run.get("run_name") or work.name)[:_NAME_LIMIT]
    python_file = task.pop("python_file", None)
    task.pop("idempotency_token", None)
    is_serverless = "new_cluster" not in task and "existing_cluster_id" not in task
    if is_serverless:
        task["environment_key"] = key = str(task.get("environment_key") or "default")
        run["environments"], used = _environments(run.get("environments"), key)
        _give_variables(run, task, used, work.environment)
    elif isinstance(task.get("new_cluster"), dict):
        custom = struct_to_json(template.message.custom, whole_as_int=True)
        task["new_cluster"] = _cluster(cast("JsonObject", task["new_cluster"]), custom.get("sparkConf"), work)
    path, _ = notebook_of(template)
    if path:
        task["notebook_task"] = _notebook(path, work, is_git="git_source" in run)
    else:
        task["spark_python_task"] = _python(template, work, config, python_file, is_serverless=is_serverless)
        entry = config.entrypoint
        run.setdefault(
            "git_source",
            {"git_url": entry.git_url, "git_provider": entry.git_provider, "git_commit": entry.git_commit},
        )
    return {**run, "tasks": [{"task_key": TASK_KEY, **task}]}


def _notebook(path: str, work: Work, *, is_git: bool) -> JsonObject:
    made: JsonObject = {"notebook_path": path}
    if work.parameters:
        made["base_parameters"] = dict(work.parameters)
    return {**made, "source": "GIT"} if is_git else made


def _python(
    template: TaskTemplate, work: Work, config: DatabricksConfig, named: object, *, is_serverless: bool
) -> JsonObject:
    entry, parameters = config.entrypoint, list(work.arguments)
    provider = template.custom.get("databricksServiceCredentialProvider") or config.credential_provider
    if is_serverless and isinstance(provider, str) and provider:
        parameters.append(f"--flyte-credential-provider={provider}")
    usual = entry.serverless_python_file if is_serverless else entry.python_file
    made: JsonObject = {"python_file": named or usual, "parameters": parameters}
    return {**made, "source": "GIT"} if is_serverless else made


def _cluster(given: Mapping[str, object], spark_conf: object, work: Work) -> JsonObject:
    """A cluster that is made for the run gets the task's image, its Spark configuration and its environment."""
    made = dict(given)
    if work.image and not made.get("docker_image"):
        made["docker_image"] = {"url": work.image}
    if isinstance(spark_conf, dict) and spark_conf and not made.get("spark_conf"):
        made["spark_conf"] = {name: str(value) for name, value in cast("JsonObject", spark_conf).items()}
    made["spark_env_vars"] = {**_object(made.get("spark_env_vars"), "new_cluster.spark_env_vars"), **work.environment}
    return made


def _environments(given: object, key: str) -> tuple[list[JsonObject], JsonObject]:
    """Serverless compute wants the environment of a task to be among those of its run; returns it by itself, too."""
    made = [_object(one, "environments") for one in _listed(given)]
    used = next((one for one in made if one.get("environment_key") == key), None)
    if used is not None:
        return made, used
    usual: JsonObject = {"environment_key": key, "spec": {"client": "1"}}
    return [*made, usual], usual


def _give_variables(run: JsonObject, task: JsonObject, used: JsonObject, environment: Mapping[str, str]) -> None:
    """
    Add the task's variables to its environment.

    From environment version 5 on there is a documented place for them; before, they go where flytekit's connector puts
    them.
    """
    spec = _object(used.get("spec"), "environments.spec")
    version = str(spec.get("environment_version") or spec.get("client") or "")
    if not version.isdecimal() or int(version) < _VERSION_WITH_VARIABLES:
        variables = _object(spec.get("environment_vars"), "environments.spec.environment_vars")
        used["spec"] = {**spec, "environment_vars": {**variables, **environment}}
        return
    key = task["environment_variables_key"] = str(task.get("environment_variables_key") or TASK_KEY)
    sets = [_object(one, "environment_variables") for one in _listed(run.get("environment_variables"))]
    if all(one.get("environment_variables_key") != key for one in sets):
        sets.append({"environment_variables_key": key})
    named = next(one for one in sets if one.get("environment_variables_key") == key)
    inside = _object(named.get("spec"), "environment_variables.spec")
    variables = _object(inside.get("variables"), "environment_variables.spec.variables")
    named["spec"] = {**inside, "variables": {**variables, **environment}}
    run["environment_variables"] = sets


def _listed(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _object(value: object, where: str) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refusal(f"custom.databricksConf.{where} is no object")
    return dict(cast("JsonObject", value))


def _refusal(text: str) -> PermanentError:
    return PermanentError(text, code="BadTaskSpecification")
