"""the configuration of a run and the ways it is put together."""
