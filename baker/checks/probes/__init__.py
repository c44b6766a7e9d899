"""Programs that run on the machine, sent through stdin to the Python of an environment there.

Each is one file, needs Python 3.8 and only what its docstring names, and imports nothing of baker. It exits with 0,
or says on stderr what was expected and what was seen and exits with 1. Nothing of it runs on the baking host.
"""
