"""The machine as a step sees it, made of nothing but commands over one connection.

machine.py      MachineRemote: baker.provisioner.Remote, and what the engine needs besides
running.py      commands: environment, secrets, output as events and as a result, failures
link.py         one connection, shared by all views of the machine: runs, streams, ends what must end
command.py      the text that the machine's shell is given; the script that ends a command with all its children
output.py       bytes as they come -> lines, and a bounded result
files.py        put, put_tree, get, files in tmpfs for a secret
tar.py          a folder as one stream
relay.py        from an sftp server through the baking host to the machine
boot.py         waiting for the first boot, and restarting
stand_ins.py    the files that the mirrors of a bake need on the machine
"""

from baker.remote.machine import MachineRemote

__all__ = ["MachineRemote"]
