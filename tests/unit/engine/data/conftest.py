from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from airscrew.engine.data.storage import Storage
from airscrew.engine.retries import retries_off


@pytest.fixture(autouse=True)
def no_retries() -> Iterator[None]:
    with retries_off():
        yield


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    async with Storage(threads=2) as opened:
        yield opened
