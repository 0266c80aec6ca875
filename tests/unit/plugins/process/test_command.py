"""
What a template runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from airscrew.engine.errors import PermanentError
from airscrew.idl.template import (
    Container,
    DataConfig,
    K8sPod,
    Resources,
    TaskTemplate,
    load_one,
    make_template,
)
from airscrew.plugins.process.command import Command, command_of, parse_quantity

TEMPLATES = Path(__file__).parents[3] / "data" / "templates" / "v1"


def pod(*containers: dict[str, object], primary: str = "", config: str = "") -> TaskTemplate:
    """Make a template with a Pod."""
    spec = K8sPod(pod_spec={"containers": list(containers)}, primary_container_name=primary)
    return make_template("sidecar", target=spec, config={"primary_container_name": config} if config else None)


def test_command_and_args_of_a_container_are_one_line() -> None:
    limits = Resources(limits={"memory": "400Mi"})
    container = Container(image="i", command=("sh", "-c"), args=("true",), env={"A": "1"}, resources=limits)

    command = command_of(make_template("container", target=container))

    assert command == Command(argv=("sh", "-c", "true"), env={"A": "1"}, image="i", memory_limit=400 << 20)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("basic.add_one", "pyflyte-execute"),
        ("basic.pod_tmpl", "pyflyte-execute"),
        ("plugins.sidecar_pod", "pyflyte-execute"),
        ("basic.raw", "sh"),
        ("basic.raw_pod", "sh"),
    ],
)
def test_templates_of_the_real_sdk_have_their_command(name: str, first: str) -> None:
    template = load_one((TEMPLATES / f"{name}.pb").read_bytes())

    command = command_of(template)

    assert command.argv[0] == first
    assert command.env["GLOBAL_ENV"] == "1"
    assert (command.data_config is not None) == name.startswith("basic.raw")


def test_of_a_pod_the_primary_container_runs() -> None:
    side = {"name": "side", "command": ["sleep"]}
    main = {"name": "main", "args": ["train", 1], "workingDir": "/app", "env": [{"name": "A", "value": "1"}]}

    by_field = command_of(pod(side, main, primary="main"))
    by_config = command_of(pod(side, main, config="main"))
    alone = command_of(pod(main))

    assert by_field == by_config == alone
    assert by_field == Command(argv=("train", "1"), env={"A": "1"}, working_directory="/app")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (make_template("container"), "has neither a container nor a Pod"),
        (make_template("container", target=Container(image="x:1")), r"the entry point of x:1 is not known here"),
        (pod({"name": "a", "args": ["x"]}, {"name": "b"}), "names no primary_container_name: it has a, b"),
        (pod({"name": "a"}, primary="z"), "has no container 'z': it has a"),
        (pod({"name": "a", "args": ["x"], "envFrom": [{"secretRef": {}}]}), "envFrom"),
        (
            pod({"name": "a", "args": ["x"], "env": [{"name": "P", "valueFrom": {"x": {}}}]}),
            r"variable 'P' of container 'a' comes from .*valueFrom",
        ),
    ],
)
def test_what_no_process_can_stand_for_is_refused_by_name(template: TaskTemplate, message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        command_of(template)


def test_folders_of_a_container_are_replaced_where_they_stand_whole() -> None:
    data = DataConfig(enabled=True, input_path="/var/inputs", output_path="/var/inputs/out")
    texts = (
        "cat /var/inputs/a>/var/inputs/out/b",
        "/var/inputs2",
        "/my/var/inputs",
        "--in=/var/inputs",
        "/var/inputs/",
    )

    moved = Command(argv=texts, env={"IN": "/var/inputs"}).relocated({data.input_path: r"/i\1", data.output_path: "/o"})

    assert moved.argv == (r"cat /i\1/a>/o/b", "/var/inputs2", "/my/var/inputs", r"--in=/i\1", r"/i\1/")
    assert moved.env == {"IN": r"/i\1"}


@pytest.mark.parametrize(
    ("text", "number"),
    [("200Mi", 200 << 20), ("1.5G", 1_500_000_000), ("128", 128), ("1Ti", 1 << 40), ("500m", 0), ("2k", 2000)],
)
def test_a_quantity_is_read_as_kubernetes_does(text: str, number: int) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "many", "1Zi", "1.2.3"])
def test_a_bad_quantity_is_refused(text: str) -> None:
    with pytest.raises(PermanentError, match="is no quantity"):
        parse_quantity(text)
