"""Tasks written with the Flyte 2 SDK."""
