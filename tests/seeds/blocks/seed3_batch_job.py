"""Seed 003, "Implementing Connector Tasks"."""

# Mend 8: the document has lost its indentation.
import inspect  # Mend 16
from dataclasses import dataclass
from typing import Any, Dict, Optional, Type
from flyte.extend import TaskTemplate
from flyte.models import NativeInterface, SerializationContext
from flyte.connectors import AsyncConnectorExecutorMixin
@dataclass
class BatchJobConfig:
    timeout_seconds: int = 300
class BatchJobTask(AsyncConnectorExecutorMixin, TaskTemplate):
    _TASK_TYPE = "batch_job"
    def __init__(
        self,
        name: str,
        plugin_config: BatchJobConfig,
        inputs: Optional[Dict[str, Type]] = None,
        outputs: Optional[Dict[str, Type]] = None,
        **kwargs,
    ):
        super().__init__(
            name=name,
            interface=NativeInterface(
                # Mend 16: was (v, None), which now makes None the default of every input
                {k: (v, inspect.Parameter.empty) for k, v in inputs.items()} if inputs else {},
                outputs or {},
            ),
            task_type=self._TASK_TYPE,
            image=None, # Connectors often don't need a custom image
            **kwargs,
        )
        self.plugin_config = plugin_config
    def custom_config(self, sctx: SerializationContext) -> Optional[Dict[str, Any]]:
        # This dictionary is passed to the backend plugin
        return {"timeout_seconds": self.plugin_config.timeout_seconds}
