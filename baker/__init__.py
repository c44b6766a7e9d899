"""Bakes machine images for research computing.

What a recipe needs, and what the author of a step needs; nothing heavy is imported. The pipeline itself is
`baker.engine`.
"""

from baker.errors import BakeError, RecipeError, StepError
from baker.provisioner import (
    NOTHING_REQUIRED,
    CommandFailedError,
    CommandResult,
    Fetch,
    Provisioner,
    Remote,
    Requirements,
    SftpSource,
)
from baker.recipe import SECRET_KINDS, AllowedSecret, Disk, Recipe, Share
from baker.secret import Secret

__all__ = [
    "NOTHING_REQUIRED",
    "SECRET_KINDS",
    "AllowedSecret",
    "BakeError",
    "CommandFailedError",
    "CommandResult",
    "Disk",
    "Fetch",
    "Provisioner",
    "Recipe",
    "RecipeError",
    "Remote",
    "Requirements",
    "Secret",
    "SftpSource",
    "Share",
    "StepError",
]
