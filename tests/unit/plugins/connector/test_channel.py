"""
What people read of an error that a connector tells in many lines.
"""

from __future__ import annotations

import re

import pytest

from airscrew.plugins.connector.channel import summary
from airscrew.plugins.connector.config import GONE

TRACE = """failed to get a task with error:
 Trace:

    Traceback (most recent call last):
      File "manager.py", line 143, in check
        raise ApiException(http_resp=r)
"""
REFUSED = f"""{TRACE}    ApiException: (404)
    Reason: Not Found
    HTTP response body: {{"kind": "Status", "message": "statefulsets \\"graph\\" not found"}}


Message:

    ApiException: (404)
    Reason: Not Found
    HTTP response body: {{"kind": "Status", "message": "statefulsets \\"graph\\" not found"}}
."""


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ("", "no reason given"),
        ("a word", "a word"),
        (f"{TRACE}\nMessage:\n\n    KeyError: 'n'.", "failed to get a task with error: ... KeyError: 'n'."),
        (f"{TRACE}    KeyError: 'n'", "failed to get a task with error: ... KeyError: 'n'"),
        (f"{TRACE}\nMessage:\n\n.", "failed to get a task with error: ... raise ApiException(http_resp=r)"),
    ],
)
def test_an_error_is_its_first_line_and_the_reason_at_its_end(details: str, shown: str) -> None:
    assert summary(details) == shown


def test_a_reason_of_several_lines_is_told_whole_and_known_for_what_it_is() -> None:
    told = summary(REFUSED)

    assert told.startswith("failed to get a task with error: ... ApiException: (404) Reason: Not Found HTTP response")
    assert told.endswith('not found"}')
    assert "\n" not in told
    assert re.search(GONE, told)
