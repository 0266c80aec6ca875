"""Seed 003, "Implementing Function-Based Plugins"."""

# Mend 8: the document has lost its indentation.
from dataclasses import dataclass
from typing import Any
from flyte.extend import AsyncFunctionTaskTemplate, TaskPluginRegistry
from flyte.models import SerializationContext
@dataclass
class EchoConfig:
    """Configuration for the echo plugin."""
    verbose: bool = False
@dataclass(kw_only=True)
class EchoTask(AsyncFunctionTaskTemplate):
    plugin_config: EchoConfig
    task_type: str = "echo"
    def custom_config(self, sctx: SerializationContext) -> dict[str, Any]:
        # Pass plugin-specific settings to the backend
        return {"verbose": self.plugin_config.verbose}
# Register the config type so the @task decorator knows to use EchoTask
TaskPluginRegistry.register(EchoConfig, EchoTask)
