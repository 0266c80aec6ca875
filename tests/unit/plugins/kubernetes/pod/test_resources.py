"""What containers ask for and are held to, clause by clause."""

from __future__ import annotations

from tests.support.pods import IMAGE, Row, container, own, pod_task, pod_template, table, task

from airscrew.idl.template import Accelerator, ExtendedResources

PRIMARY = {"name": "primary", "image": IMAGE}
GPU = "nvidia.com/gpu"


def asks(cpu: str | None = None, limit: str | None = None) -> object:
    return task(container(requests={"cpu": cpu} if cpu else {}, limits={"cpu": limit} if limit else {}))


def cpu(request: str | None, limit: str | None) -> dict[str, str | None]:
    return {own("resources > requests > cpu"): request, own("resources > limits > cpu"): limit}


def override(**kinds: dict[str, str]) -> dict[str, object]:
    return {"overrides": {"resources": kinds}}


def base(**resources: dict[str, str]) -> dict[str, object]:
    return pod_template({"name": "default", "resources": resources})


ROWS = [
    Row(name="who says nothing gets the defaults, as request and as limit", template=asks(), expect=cpu("1", "1")),
    Row(
        name="the defaults are the configuration's",
        template=asks(),
        config={"default_requests": {"cpu": "250m"}},
        expect={**cpu("250m", "250m"), own("resources > requests > memory"): None},
    ),
    Row(name="a request without a limit is its limit", template=asks("2"), expect=cpu("2", "2")),
    Row(name="a limit without a request is its request", template=asks(limit="2"), expect=cpu("2", "2")),
    Row(name="request and limit stand when both are given", template=asks("1", "2"), expect=cpu("1", "2")),
    Row(name="a request above its own limit is brought down to it", template=asks("3", "2"), expect=cpu("2", "2")),
    Row(name="zero is nothing", template=asks("0", "0"), expect=cpu("1", "1")),
    Row(
        name="the submission wins over the container",
        template=asks("1", "2"),
        attempt=override(requests={"cpu": "1500m"}, limits={"cpu": "4"}),
        expect=cpu("1500m", "4"),
    ),
    Row(
        name="the container wins over the PodTemplate, and the PodTemplate over the defaults",
        template=asks("3"),
        base=base(requests={"cpu": "2", "memory": "5Gi"}, limits={"cpu": "8"}),
        expect={**cpu("3", "8"), own("resources > requests > memory"): "5Gi"},
    ),
    Row(
        name="a request of the submission is not brought down by a limit of the container",
        template=asks("1", "2"),
        attempt=override(requests={"cpu": "3"}),
        expect=cpu("3", "3"),
    ),
    Row(
        name="a limit of the submission brings the container's request down",
        template=asks("3", "4"),
        attempt=override(limits={"cpu": "2"}),
        expect=cpu("2", "2"),
    ),
    Row(
        name="a container's request is not brought down by a limit of the PodTemplate",
        template=asks("4"),
        base=base(limits={"cpu": "2"}),
        expect=cpu("4", "4"),
    ),
    Row(
        name="nothing exceeds the configured bounds",
        template=asks("64", "64"),
        config={"max_resources": {"cpu": "8"}},
        expect=cpu("8", "8"),
    ),
    Row(
        name="the bounds hold for the submission too",
        template=asks("1"),
        attempt=override(requests={"cpu": "20"}),
        config={"max_resources": {"cpu": "8"}},
        expect=cpu("8", "8"),
    ),
    Row(
        name="a bound of zero is none",
        template=asks("64"),
        config={"max_resources": {"cpu": "0"}},
        expect=cpu("64", "64"),
    ),
    Row(
        name="notations are compared by what they mean",
        template=asks("7999m", "8"),
        config={"max_resources": {"cpu": "8000m"}},
        expect=cpu("7999m", "8"),
    ),
    Row(
        name="ephemeral storage is there when it is asked for alone",
        template=task(container(limits={"ephemeral-storage": "20Gi"})),
        config={"max_resources": {"ephemeral-storage": "10Gi"}},
        expect={
            own("resources > requests > ephemeral-storage"): "10Gi",
            own("resources > limits > ephemeral-storage"): "10Gi",
        },
    ),
    Row(
        name="gpu means the configured resource",
        template=task(container(requests={"gpu": "2"})),
        expect={
            own(f"resources > requests > {GPU}"): "2",
            own(f"resources > limits > {GPU}"): "2",
            own("resources > requests > gpu"): None,
        },
    ),
    Row(
        name="gpu in a Pod specification means the same",
        template=pod_task({**PRIMARY, "resources": {"limits": {"gpu": 1}}}),
        expect={own(f"resources > requests > {GPU}"): "1", own(f"resources > limits > {GPU}"): "1"},
    ),
    Row(
        name="gpu means the resource of the device class that the task wants",
        template=task(
            container(requests={"gpu": "4"}),
            extended_resources=ExtendedResources(accelerator=Accelerator(device="v5e")),
        ),
        attempt={"overrides": {"extended_resources": {"gpuAccelerator": {"deviceClass": "GOOGLE_TPU"}}}},
        expect={own("resources > limits > google.com/tpu"): "4"},
    ),
    Row(
        name="of an extended resource request and limit are the same",
        template=pod_task(
            {**PRIMARY, "resources": {"requests": {"example.com/fpga": 1}, "limits": {"example.com/fpga": 2}}}
        ),
        expect={
            own("resources > requests > example.com/fpga"): "2",
            own("resources > limits > example.com/fpga"): "2",
        },
    ),
    Row(
        name="GPUs are held to the bounds",
        template=task(container(requests={"gpu": "9"})),
        config={"max_resources": {GPU: "8"}},
        expect={own(f"resources > requests > {GPU}"): "8", own(f"resources > limits > {GPU}"): "8"},
    ),
    Row(
        name="other containers are held to the bounds, and nothing is added to them",
        template=pod_task(
            PRIMARY,
            {"name": "big", "image": "i", "resources": {"requests": {"cpu": "20"}, "limits": {"cpu": "30"}}},
            {"name": "still", "image": "i"},
            initContainers=[{"name": "init", "image": "i", "resources": {"limits": {"memory": "9Gi"}}}],
        ),
        config={"max_resources": {"cpu": "8", "memory": "4Gi"}},
        expect={
            "spec > containers > big > resources": {"requests": {"cpu": "8"}, "limits": {"cpu": "8"}},
            "spec > containers > still > resources": None,
            "spec > initContainers > init > resources": {"limits": {"memory": "4Gi"}},
        },
    ),
    Row(
        name="resource claims pass",
        template=pod_task({**PRIMARY}, {"name": "b", "image": "i", "resources": {"claims": [{"name": "c"}]}}),
        expect={"spec > containers > b > resources": {"claims": [{"name": "c"}]}},
    ),
    Row(
        name="what is no quantity is refused by its path",
        template=pod_task({**PRIMARY, "resources": {"limits": {"memory": "lots"}}}),
        code="BadTaskSpecification",
        says="containers[primary].resources.limits.memory: 'lots' is no quantity",
    ),
    Row(
        name="a negative quantity is none",
        template=asks("-1"),
        code="BadTaskSpecification",
        says="resources.requests.cpu: '-1' is no quantity",
    ),
    Row(
        name="a submission's resources that cannot be read are refused by their path",
        template=asks(),
        attempt=override(limits={"cpu": "many"}),
        code="BadTaskSpecification",
        says="overrides.resources.limits.cpu: 'many' is no quantity",
    ),
    Row(
        name="a submission's resources are requests and limits",
        template=asks(),
        attempt={"overrides": {"resources": {"cpu": "1"}}},
        code="BadTaskSpecification",
        says="overrides.resources.cpu: is unknown: use requests and limits",
    ),
]


@table(ROWS)
def test_of_resources(row: Row) -> None:
    row.check()
