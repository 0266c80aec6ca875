"""What a task can do besides computing: a deck, a cache, a secret, environment, Echo."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flytekit import Deck, Resources, Secret, current_context, task
from flytekit.core.task import Echo


@task(enable_deck=True)
def with_deck(title: str) -> str:
    Deck("report", f"<h1>{title}</h1>")
    return title


@task(enable_deck=True)
def deck_and_failure(title: str) -> str:
    Deck("report", f"<h1>{title}</h1>")
    current_context().default_deck.append("<p>half way</p>")
    if title:
        raise ValueError("after the deck")
    return title


@task(cache=True, cache_version="1", cache_serialize=True, cache_ignore_input_vars=("ledger", "seconds"))
def cached_square(x: int, ledger: str, seconds: float = 0.0) -> int:
    """Square, and leave a line in ``ledger`` each time it really runs: what a test counts."""
    with Path(ledger).open("a") as opened:
        opened.write(f"{x}\n")
    time.sleep(seconds)
    return x * x


@task(secret_requests=[Secret(group="vault", key="token")])
def with_secret() -> int:
    """Give the length of the secret only: its value belongs in no output."""
    return len(current_context().secrets.get("vault", "token"))


@task(environment={"GREETING": "hello"}, requests=Resources(cpu="1", mem="256Mi"), limits=Resources(mem="2Gi"))
def with_environment() -> str:
    return os.environ["GREETING"]


@task
def execution_environment() -> dict[str, str]:
    """Give what the engine put into the environment, for the test to compare."""
    return {key: value for key, value in os.environ.items() if key.startswith(("FLYTE_INTERNAL_", "FLYTE_ATTEMPT"))}


echo_number = Echo(name="flows.extras.echo_number", inputs={"x": int})
