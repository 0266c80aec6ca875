from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from airscrew.engine.data.storage import Storage
from airscrew.engine.retries import RetryPolicy


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    async with Storage(threads=2, policy=RetryPolicy(tries=1)) as opened:
        yield opened
