"""Makes a machine fit to become an image.

sealer.py       the order of things
inventory.py    what is in the image, for the manifest; installed.py, the part that conda and pip installed
scrub.py        the table of what is removed, and why
access.py       the last command: nobody can log in any more, and only the open connection can still finish
"""

from baker.seal.sealer import seal

__all__ = ["seal"]
