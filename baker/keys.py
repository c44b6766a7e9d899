"""ed25519 key pairs, for logging in to a machine and for knowing it by its host key."""

import base64
import hashlib
import re

from baker.ports import KeyPair


def new_key_pair(comment: str) -> KeyPair:
    """A fresh key pair; `comment` ends the public line, so that a stray key can be told."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  (20 ms that `bake plan` need not pay)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private=private.decode(), public=f"{public.decode()} {comment}")


def fingerprint_of(public_line: str) -> str:
    """`SHA256:...` of a public key line, as `ssh-keygen -l` prints it."""
    blob = base64.b64decode(public_line.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[\s\S]*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----")


def public_half(text: str) -> str | None:
    """The public line of the first private key in `text`, in which line breaks may be written as `\\n`.

    None when there is none, or it cannot be read without a passphrase.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  (see above)
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    found = _PEM.search(text.replace("\\n", "\n"))
    if found is None:
        return None
    lines = (line.strip(" \t\r\"',\\") for line in found[0].splitlines())
    pem = "".join(f"{line}\n" for line in lines if line).encode()
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            public = load(pem, password=None).public_key()
            encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            return public.public_bytes(encoding, form).decode()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    return None
