from __future__ import annotations

import pickle
import time

import pytest
from flyteidl.core.tasks_pb2 import TaskTemplate as Message1
from flyteidl2.core.tasks_pb2 import TaskTemplate as Message2
from google.protobuf.duration_pb2 import Duration

from airscrew.idl.errors import UsageError
from airscrew.idl.template import (
    MAX_TEMPLATE_BYTES,
    LogLinkTemplate,
    RetryBackoff,
    TaskTemplate,
    content_hash,
    decode_template,
    template_from_message,
)
from airscrew.idl.wire import WireError, WireForm


def test_the_hash_of_bytes_is_32_digits_and_never_changes():
    assert content_hash(b"template") == "a87e229aed2c50c8baa077e98c10a9c8"


def test_equal_messages_give_equal_templates_whatever_the_order_of_their_maps():
    forwards, backwards = ({str(n): "x" for n in order} for order in (range(50), reversed(range(50))))

    first = template_from_message(Message1(type="t", config=forwards), WireForm.FLYTE1)
    second = template_from_message(Message1(type="t", config=backwards), WireForm.FLYTE1)

    assert first == second
    assert first.content_hash == second.content_hash == content_hash(first.raw)


def test_a_template_over_the_limit_is_refused_with_both_sizes():
    raw = Message1(type="t" * MAX_TEMPLATE_BYTES).SerializeToString()

    with pytest.raises(UsageError, match=r"the task template has 900,004 bytes and the limit is 900,000"):
        decode_template(raw, WireForm.FLYTE1)


@pytest.mark.parametrize("wire", WireForm)
def test_bytes_that_are_no_template_are_refused_at_once(wire):
    with pytest.raises(WireError, match=r"the task template is not a flyteidl2?\.core\.TaskTemplate"):
        decode_template(b"\x0a\xff", wire)


@pytest.mark.usefixtures("without_flyte2")
def test_a_template_of_flyte_2_needs_its_extra():
    with pytest.raises(UsageError, match=r"pip install airscrew\[flyte2\]"):
        decode_template(b"", WireForm.FLYTE2)


def test_what_flyte_2_alone_knows_is_decoded():
    message = Message2(type="python")
    message.metadata.timeouts.queued_timeout.CopyFrom(Duration(seconds=30))
    message.metadata.timeouts.deadline.CopyFrom(Duration(seconds=90, nanos=500_000_000))
    message.metadata.retries.backoff.base.CopyFrom(Duration(seconds=1))
    message.metadata.retries.backoff.factor = 2.0
    message.metadata.log_links.add(name="ui", uri="http://ui", ShowWhilePending=True)
    message.extended_resources.gpu_accelerator.device_class = 1

    template = template_from_message(message, WireForm.FLYTE2)

    assert (template.metadata.queued_timeout_seconds, template.metadata.deadline_seconds) == (30.0, 90.5)
    assert template.metadata.backoff == RetryBackoff(base_seconds=1.0, factor=2.0)
    assert template.metadata.log_links == (LogLinkTemplate(name="ui", uri="http://ui", show_while_pending=True),)
    assert template.extended_resources.accelerator.device_class == "GOOGLE_TPU"


def test_the_order_that_a_flyte_2_author_gave_is_kept():
    message = Message2(type="python")
    for name in ("zebra", "ant", "mole"):
        message.interface.inputs.variables.add(key=name).value.type.simple = 1

    template = template_from_message(message, WireForm.FLYTE2)

    assert list(template.interface.inputs) == ["zebra", "ant", "mole"]


def test_an_enum_value_that_is_not_known_here_is_shown_as_its_number():
    message = Message1(type="t")
    message.container.image = "i"
    message.container.architecture = 99

    assert template_from_message(message, WireForm.FLYTE1).container.architecture == "99"


def test_a_field_that_is_not_known_here_stays_in_the_bytes():
    raw = Message1(type="t").SerializeToString() + b"\xba\x3e\x03new"

    assert template_from_message(Message1.FromString(raw), WireForm.FLYTE1).raw == raw


def test_a_template_can_be_sent_to_another_process(sdk_template):
    template: TaskTemplate = sdk_template("v1/basic.rich_io")
    _ = template.metadata

    assert pickle.loads(pickle.dumps(template)) == template


def test_decoding_is_cheap(sdk_template):
    raw = sdk_template("v1/basic.full_options").raw
    decode_template(raw, WireForm.FLYTE1)

    times: list[float] = []
    for _ in range(200):
        begun = time.perf_counter()
        _ = decode_template(raw, WireForm.FLYTE1).type
        times.append(time.perf_counter() - begun)

    assert min(times) < 100e-6
