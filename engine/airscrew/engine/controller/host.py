"""
Where an executor's code runs: on the engine's loop, or in a thread when it is a plain function.

Guarantees: a call ends within its timeout; whatever it raises, ``SystemExit`` included, comes out as an
``Exception``, unless the
engine itself cancelled the call.
"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from airscrew.engine.executor import Executor


class PluginCrashError(Exception):
    """An executor raised something that is not an ``Exception``."""


@dataclass(slots=True)
class Host:
    """
    Runs one executor's calls.

    Attributes:
        executor: The executor.
        threads: For its plain functions.
    """

    executor: Executor[Any]
    threads: ThreadPoolExecutor

    async def call(self, method: str, *arguments: object) -> Any:
        """
        Call a method of the executor and return what it returns.

        Raises:
            TimeoutError: It took longer than the executor declares.
            Exception: Whatever it raised.
        """
        seconds = self.executor.start_timeout if method == "start_task" else self.executor.call_timeout
        function = getattr(self.executor, method)
        try:
            async with asyncio.timeout(seconds):
                return await self._run(function, arguments)
        except TimeoutError as error:
            raise TimeoutError(f"{method} of {self.executor.id} gave no answer in {seconds:g} s") from error
        except Exception:
            raise
        except BaseException as error:
            current = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
                raise
            raise PluginCrashError(f"{method} of {self.executor.id} raised {type(error).__name__}") from error

    async def _run(self, function: Any, arguments: tuple[object, ...]) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self.threads, partial(function, *arguments))
        return await answer if inspect.isawaitable(answer) else answer
