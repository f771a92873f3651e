"""The command line: parsing, help, terminal output. typer and rich are imported here alone."""
