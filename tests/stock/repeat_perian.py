"""
Makes calls to PERIAN once more by its newest client, the one public word on the service; run in the environment that
has it.

A line of JSON is a call with its answer: ``operation``, ``arguments``, ``method``, ``path``, ``headers``, ``body``,
``status`` and ``answer``. A line comes back for each: the list of what the client does otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import perian
from perian.rest import RESTResponse
from urllib3 import HTTPResponse


class Wire:
    """Stands where the client sends: keeps what is sent, and answers as was answered."""

    def __init__(self, status: int, answer: object) -> None:
        self._status, self._answer = status, answer
        self.sent: dict[str, Any] = {}

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: object = None, **_: object
    ) -> RESTResponse:
        """Take the place of ``RESTClientObject.request``."""
        self.sent = {"method": method, "path": url, "headers": headers, "body": body}
        raw = json.dumps(self._answer).encode()
        return RESTResponse(HTTPResponse(raw, {"content-type": "application/json"}, self._status))


def differences(call: Mapping[str, Any]) -> list[str]:
    """Say what the client sends otherwise, and what it does not find in the answer."""
    wire, client = Wire(call["status"], call["answer"]), perian.ApiClient(perian.Configuration(host=""))
    client.rest_client = wire
    arguments = dict(call["arguments"])
    try:
        if call["body"] is not None:
            arguments["create_job_request"] = perian.CreateJobRequest.from_dict(call["body"])
        read = getattr(perian.JobApi(client), call["operation"])(**arguments).to_dict()
    except perian.ApiException as error:
        read = error.data.to_dict() if error.data is not None else None
    except ValueError as error:  # pydantic's are such
        return [f"{call['operation']}: {error}"]
    sent = wire.sent
    own = {name.lower(): value for name, value in sent["headers"].items() if name != "User-Agent"}
    pairs = {
        "method": (call["method"], sent["method"]),
        "path": (call["path"], sent["path"]),
        "headers": ({name: call["headers"].get(name) for name in own}, own),
        "body": (_known(call["body"]), _known(sent["body"])),
        "answer": (_known(call["answer"]), _known(read)),
    }
    return [
        f"{call['operation']}: the {what} is {here}, and the client's {there}"
        for what, (here, there) in pairs.items()
        if here != there
    ]


def _known(value: Any) -> Any:
    """Leave out what is null, as it is when it is not there."""
    if isinstance(value, dict):
        return {name: _known(inner) for name, inner in value.items() if inner is not None}
    return [_known(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    """Answer each line until there are no more."""
    for line in sys.stdin:
        print(json.dumps(differences(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
