"""
OpenAI's batches and chat completions, by its public API reference.
"""

from __future__ import annotations

import itertools
from typing import Any

from tests.stock.vendor import Job, Reply, Request, Vendor

KEY = "sk-planted-5b1f"
NOW = 1_790_000_000


class OpenAi(Vendor):
    """
    Batches are jobs; each chat completion is one that is over at once.

    Attributes:
        says: What it answers to a chat, by status code.
    """

    def reset(self) -> None:
        super().reset()
        self._numbers = itertools.count()
        self.says: tuple[int, str] = (200, "")

    def variables(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": f"{self.url}/v1", "_FSEC_FLYTE_OPENAI_API_KEY": KEY}

    def is_create(self, request: Request) -> bool:
        return request.method == "POST" and request.path in {"/v1/batches", "/v1/chat/completions"}

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "invalid_api_key", "the key is wrong")
        if request.headers.get("openai-organization") != "org":
            self.complaints.append("the organization is missing")
        match request.method, request.path.split("/")[2:]:
            case "POST", ["batches"]:
                return self._create(request.body)
            case "GET", ["batches", name] if name in self.jobs:
                self.jobs[name].polls += 1
                return Reply(body=_batch(self.jobs[name]))
            case "POST", ["batches", name, "cancel"] if name in self.jobs:
                self.jobs[name].status = "cancelled"
                return Reply(body=_batch(self.jobs[name]))
            case "POST", ["chat", "completions"]:
                return self._complete(request.body)
            case _:
                return _error(404, "not_found", f"there is no {request.path}")

    def finish(self, job: Job) -> None:
        job.status = "completed"

    def fail(self, job: Job, *, system: bool) -> None:
        job.status = "expired" if system else "failed"
        job.message = "the machines are away" if system else "line 3 is no request"

    def _create(self, body: Any) -> Reply:
        needed = {"input_file_id", "endpoint", "completion_window"}
        if not needed <= body.keys() <= needed | {"metadata"}:
            return _error(400, "invalid_request_error", f"these are not the parameters of a batch: {sorted(body)}")
        return Reply(body=_batch(self.make(f"batch_{next(self._numbers)}", "in_progress", body)))

    def _complete(self, body: Any) -> Reply:
        status, text = self.says
        name = f"chatcmpl-{next(self._numbers)}"
        if status != 200:
            return _error(status, "an_error", text)
        self.make(name, "completed", body)
        message = {"role": "assistant", "content": f"you said {body['messages'][0]['content']}"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        told = {"id": name, "object": "chat.completion", "created": NOW, "model": body["model"], "choices": choices}
        return Reply(body=told)


def _batch(job: Job) -> dict[str, object]:
    errors = {"object": "list", "data": [{"code": "x", "message": job.message}]} if job.message else None
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.asked["endpoint"],
        "input_file_id": job.asked["input_file_id"],
        "completion_window": job.asked["completion_window"],
        "status": job.status,
        "errors": errors,
        "created_at": NOW,
        "output_file_id": "file-out" if job.status == "completed" else None,
    }


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status=status, body={"error": {"message": message, "type": code, "code": code, "param": None}})
