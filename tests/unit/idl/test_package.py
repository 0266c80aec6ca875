from __future__ import annotations

import io
import tarfile

import pytest
from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.core.tasks_pb2 import TaskTemplate as Message

from airscrew.idl.errors import UsageError
from airscrew.idl.template import load_one, load_templates, make_template, registered
from airscrew.idl.template.model import Container, K8sPod

CODE = "fast0123456789abcdef.tar.gz"


def packed(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def task_spec(name: str) -> bytes:
    template = Message(type="python-task")
    template.id.name, template.id.resource_type = name, 1
    return TaskSpec(template=template).SerializeToString()


@pytest.fixture
def package(template_bytes) -> bytes:
    plan = LaunchPlan()
    plan.id.name, plan.id.resource_type = "flows.basic.wf", 3
    return packed({
        "01_flows.basic.boom_1.pb": task_spec("flows.basic.boom"),
        "00_flows.basic.add_1.pb": task_spec("flows.basic.add"),
        "02_flows.basic.wf_2.pb": template_bytes("v1/basic.wf.pb"),
        "03_flows.basic.wf_3.pb": plan.SerializeToString(),
        CODE: b"the code",
    })  # fmt: skip


def test_the_tasks_of_a_package_come_in_the_order_of_registration(package):
    loaded = load_templates(package, "flyte-package.tgz")

    assert [one.template.name for one in loaded.templates] == ["flows.basic.add", "flows.basic.boom"]
    assert loaded.templates[0].source == "00_flows.basic.add_1.pb"


def test_what_is_no_task_is_told_with_the_reason(package):
    skipped = {one.source: one.reason for one in load_templates(package).skipped}

    assert skipped == {
        "02_flows.basic.wf_2.pb": "is the workflow 'flows.basic.wf': only tasks run here, run its tasks one by one",
        "03_flows.basic.wf_3.pb": "is the launch plan 'flows.basic.wf': only tasks run here",
    }


def test_the_code_of_a_fast_package_is_given_to_the_caller(package):
    distribution = load_templates(package).distribution

    assert (distribution.name, distribution.data) == (CODE, b"the code")


def test_a_task_is_taken_by_the_end_of_its_name(package):
    assert load_one(package, "p.tgz", task="boom").name == "flows.basic.boom"


def test_which_of_several_tasks_has_to_be_said(package):
    with pytest.raises(
        UsageError, match=r"^p.tgz holds several tasks, name one of: flows.basic.add, flows.basic.boom$"
    ):
        load_one(package, "p.tgz")


@pytest.mark.parametrize("files", [{}, {"main.py": b"x = 1"}, {"00_a_1.pb": b"\xff\xff"}])
def test_an_archive_without_a_task_is_refused(files):
    with pytest.raises(UsageError, match=r"^x.tgz is no package of tasks as 'pyflyte package' writes: it holds "):
        load_templates(packed(files), "x.tgz")


def test_a_package_that_was_cut_off_is_refused(package):
    with pytest.raises(UsageError, match=r"^x.tgz is gzip, but no tar of a 'pyflyte package': "):
        load_templates(package[: len(package) // 2], "x.tgz")


def test_a_spec_that_blows_up_is_refused_before_it_is_read():
    with pytest.raises(UsageError, match=r"00_a_1.pb has 8,000,000 bytes, more than 7,200,000"):
        load_templates(packed({"00_a_1.pb": bytes(8_000_000)}), "x.tgz")


def test_registration_fills_what_a_package_leaves_empty():
    template = registered(make_template("t", name="f"), project="p", domain="d", version="v1")

    assert (template.id.project, template.id.domain, template.id.version) == ("p", "d", "v1")


def test_registration_keeps_what_the_author_gave(sdk_template):
    template = sdk_template("v1/basic.add")

    assert registered(template, project="other", version="v9") == template


def test_registration_fills_the_place_of_the_code_of_a_container():
    args = ("pyflyte-fast-execute", "--additional-distribution", "{{ .remote_package_path }}", "--dest-dir",
            "{{ .dest_dir }}", "--", "{{.input}}")  # fmt: skip
    template = make_template("python-task", target=Container(image="i", args=args))

    filled = registered(template, distribution="file:///code.tgz", destination="/root").container.args

    assert filled[2:] == ("file:///code.tgz", "--dest-dir", "/root", "--", "{{.input}}")


def test_registration_fills_the_place_of_the_code_of_a_pod():
    pod = K8sPod(pod_spec={"containers": [{"name": "a", "args": ["{{ .remote_package_path }}", "x"]}, {"name": "b"}]})
    template = make_template("sidecar", target=pod)

    filled = registered(template, distribution="s3://code").k8s_pod.pod_spec

    assert filled == {"containers": [{"name": "a", "args": ["s3://code", "x"]}, {"name": "b"}]}


def test_registration_works_on_flyte_2(sdk_template):
    template = sdk_template("v2/full")

    assert registered(template, project="other", distribution="s3://x") == template


def test_an_archive_that_unpacks_to_too_much_is_stopped(monkeypatch, package):
    monkeypatch.setattr("airscrew.idl.template.read_package._BoundedGzip._left", 2_000)

    with pytest.raises(UsageError, match=r"it unpacks to more than"):
        load_templates(package, "x.tgz")
