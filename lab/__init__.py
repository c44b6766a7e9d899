"""The lab serves what recipes fetch, where the world cannot be reached: classrooms, institutes behind a proxy, CI.

It is made from PyPI wheels and Debian packages alone, and is not part of the distribution:

    python -m lab build                 make what is missing (a minute the first time)
    python -m lab serve                 serve until stopped
    python -m lab run -- COMMAND...     serve while a command runs that finds the lab through $BAKER_MIRRORS

A recipe stays the same file in both worlds; only the mirrors (`baker.mirrors`) differ. Everything that the lab
hands out is real: genuine conda solves a genuine channel, git talks to git, sftp is SSH. What is small or
synthetic (the notebook repository, the ocean data) says so in its own README.

The lab imports nothing of baker, and baker nothing of the lab.
"""
