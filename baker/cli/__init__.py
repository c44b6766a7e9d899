"""The command line, and the only place where the parts of the baker are put together."""
