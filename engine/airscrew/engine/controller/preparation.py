"""
What is made ready before an executor is asked to start a task.
"""

from __future__ import annotations

from airscrew.engine.controller.live import Live
from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import AnyContext, AnyExecutor
from airscrew.idl.template import TaskTemplate


async def fetch_inputs(live: Live, context: AnyContext) -> None:
    """
    Read inputs that lie elsewhere before the executor is called: their storage may be away.

    That must not make its start unknown.

    The access keeps them, so the executor does not read them again.
    """
    uri = live.options.input_uri
    if uri and not uri.startswith("data:"):
        await context.data.read_inputs()


def own_message(template: TaskTemplate, executor: AnyExecutor) -> object | None:
    """
    Decode ``template.custom`` into the executor's own message; None when it declares none.

    Raises:
        PermanentError: It does not decode; names field and message.
    """
    if executor.custom_message is None:
        return None
    from airscrew.idl.struct_fields import CustomFieldError, decode_custom

    try:
        return decode_custom(template.custom, executor.custom_message)
    except CustomFieldError as error:
        raise PermanentError(str(error), code="BadTaskSpecification") from error
