"""
A task's own message: ``template.custom`` as the class that its executor declares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airscrew.engine.errors import PermanentError

if TYPE_CHECKING:
    from airscrew.engine.executor.erased import AnyExecutor
    from airscrew.idl.template import TaskTemplate


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
