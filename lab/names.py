"""Names that those who make the lab's parts and those who serve them agree on."""

CHANNEL = "conda-forge"
"""The channel's name, under an alias: what recipes ask for."""

INSTALLER = "Miniforge3-Linux-x86_64.sh"

DATASET = "ocean"
"""The data set's folder on the sftp server."""

SFTP_USER = "ocean"

PASSWORD_VARIABLE = "OCEAN_DATA_PASSWORD"
"""Where recipes/ocean.py takes the password of the sftp server from."""

REPOSITORY = "image-baker/ocean-notebooks"
"""The notebook repository's place on the git server, as on GitHub."""
