"""Tasks written with flytekit as its users write them; the suite serializes them and the engine runs them."""
