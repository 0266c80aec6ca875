"""What holds of every Pod, whatever is in its template."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.pods import IMAGE, Row, pod_task, task

from airscrew.engine.errors import PermanentError
from airscrew.idl.quantity import read_quantity
from airscrew.idl.template import DataConfig, K8sPod, SecretRef, SecurityContext
from airscrew.plugins.kubernetes.metadata import label_value, make_labels
from airscrew.plugins.kubernetes.pod.merge import merged, with_pod_template
from airscrew.plugins.kubernetes.pod.resources import Amounts, is_extended, task_amounts

NAMES = st.sampled_from(["cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi"])
QUANTITIES = st.one_of(
    st.integers(1, 10**12).map(str),
    st.integers(1, 10**6).map("{}m".format),
    st.sampled_from(["1Gi", "0.5", "1e3", "2k", "1.5Mi", "3G"]),
)
AMOUNTS = st.dictionaries(NAMES, QUANTITIES, max_size=4)
LEVELS = st.lists(st.builds(Amounts, AMOUNTS, AMOUNTS), max_size=3)


def number(text: str) -> Decimal:
    found = read_quantity(text)
    assert found is not None
    return found


@settings(max_examples=60, deadline=None)
@given(LEVELS, AMOUNTS, AMOUNTS)
def test_a_request_never_exceeds_its_limit_and_nothing_its_bound(
    levels: list[Amounts], defaults: dict[str, str], bounds: dict[str, str]
) -> None:
    found = task_amounts(levels, defaults, bounds)

    assert set(found.requests) == set(found.limits)
    for name in found.limits:
        assert number(found.requests[name]) <= number(found.limits[name])
        assert name not in bounds or number(found.limits[name]) <= number(bounds[name])
        assert not is_extended(name) or found.requests[name] == found.limits[name]


@settings(max_examples=60, deadline=None)
@given(LEVELS, AMOUNTS, AMOUNTS)
def test_what_was_decided_stays_when_it_is_decided_again(
    levels: list[Amounts], defaults: dict[str, str], bounds: dict[str, str]
) -> None:
    once = task_amounts(levels, defaults, bounds)

    assert task_amounts([once], {}, bounds) == once


@settings(max_examples=60, deadline=None)
@given(LEVELS, AMOUNTS)
def test_whoever_says_something_first_is_heard_where_no_bound_speaks(
    levels: list[Amounts], own: dict[str, str]
) -> None:
    found = task_amounts([Amounts(limits=own), *levels], {}, {})

    assert {name: found.limits[name] for name in own} == own


SCALARS = st.one_of(st.text(max_size=3), st.integers(-3, 3), st.booleans())
WORDS = st.sampled_from(["a", "b", "c"])
NAMED = st.fixed_dictionaries({"name": WORDS}, optional={"value": SCALARS, "x": SCALARS})
TREES = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": st.dictionaries(WORDS, st.text(max_size=3)),
        "volumes": st.lists(NAMED, max_size=3, unique_by=lambda one: one["name"]),
        "env": st.lists(NAMED, max_size=3, unique_by=lambda one: one["name"]),
        "containers": st.lists(NAMED, max_size=3, unique_by=lambda one: one["name"]),
        "tolerations": st.lists(st.fixed_dictionaries({"key": WORDS}), max_size=3, unique_by=lambda one: one["key"]),
        "args": st.lists(WORDS, max_size=3),
        "hostname": st.text(max_size=3),
    },
)


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_merging_the_same_again_changes_nothing(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    once = merged(lower, upper)

    assert merged(once, upper) == once
    assert merged(lower, once) == once


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_merging_changes_neither_of_the_two(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    before = json.dumps([lower, upper])

    merged(lower, upper)

    assert json.dumps([lower, upper]) == before


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_a_pod_template_under_its_own_work_changes_nothing(spec: dict[str, Any], base: dict[str, Any]) -> None:
    template = {"template": {"spec": base}}
    spec = {**spec, "containers": [*spec.get("containers", []), {"name": "primary", "args": ["run"]}]}

    once = with_pod_template(spec, template, primary="primary")

    assert with_pod_template(once, template, primary="primary") == once
    assert [one["name"] for one in once["containers"]] == [one["name"] for one in spec["containers"]]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=80), st.text(max_size=80), max_size=4))
def test_labels_are_such_that_kubernetes_takes_them(given_labels: dict[str, str]) -> None:
    import re

    name = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
    domain = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
    for key, value in make_labels([given_labels]).items():
        assert re.fullmatch(rf"({domain}/)?{name}", key)
        assert re.fullmatch(rf"({name})?", value)
        assert len(value) <= 63
        assert label_value(value) == value


def outcome(row: Row) -> tuple[str, dict[str, Any]]:
    """The error, or the manifest."""
    try:
        return "", row.build().manifest
    except PermanentError as error:
        return str(error), {}


GROUPS = st.text("abcABC_-.12", min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(GROUPS, GROUPS, st.sampled_from(["ANY", "FILE", "ENV_VAR"])), max_size=3), st.booleans())
def test_no_value_of_a_secret_and_no_credential_is_ever_in_a_manifest(
    wanted: list[tuple[str, str, str]], is_raw: bool
) -> None:
    value = "s3cr3t-VALUE"
    secrets = tuple(SecretRef(group=group, key=key, mount_requirement=how) for group, key, how in wanted)
    data = DataConfig(enabled=True, input_path="/i", output_path="/o") if is_raw else None
    pod = K8sPod(pod_spec={"containers": [{"name": "primary", "image": IMAGE}]}, data_config=data)
    row = Row(
        name="r",
        template=task(pod, security_context=SecurityContext(secrets=secrets)),
        config={"loader": {"image": "i", "env_from_secret": "access"}},
        engine_env={f"_FSEC_{group.upper()}_{key.upper()}": value for group, key, _ in wanted}
        | {"AWS_SECRET_ACCESS_KEY": value},
    )
    told, manifest = outcome(row)

    assert value not in told
    assert value not in json.dumps(manifest)
    assert outcome(row) == (told, manifest)


JSON = st.recursive(
    st.one_of(st.none(), SCALARS), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2)
)
FIELDS = st.sampled_from(
    ["containers", "initContainers", "volumes", "tolerations", "affinity", "nodeSelector", "securityContext",
     "serviceAccountName", "restartPolicy", "hostNetwork", "dnsConfig", "shareProcessNamespace", "schedulerName",
     "terminationGracePeriodSeconds", "priorityClassName"]
)  # fmt: skip
INNER = st.sampled_from(
    ["env", "envFrom", "ports", "resources", "volumeMounts", "securityContext", "image", "args", "command", "name"]
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=3), st.dictionaries(INNER, JSON, max_size=3), st.booleans())
def test_a_specification_gives_a_pod_or_an_error_that_names_something(
    spec: dict[str, Any], inner: dict[str, Any], is_raw: bool
) -> None:
    container = {"name": "primary", "image": IMAGE, **inner}
    data = DataConfig(enabled=True, input_path="/i", output_path="/o") if is_raw else None
    template = pod_task(container, **{key: value for key, value in spec.items() if key != "containers"})
    if "containers" in spec or is_raw:
        template = task(K8sPod(pod_spec={"containers": [container], **spec}, data_config=data))
    told, manifest = outcome(Row(name="r", template=template, config={"loader": {"image": "i"}}))

    assert told or json.loads(json.dumps(manifest)) == manifest
