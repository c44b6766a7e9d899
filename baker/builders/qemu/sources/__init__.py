"""Source images: what a machine of the QEMU builder starts from, made or fetched once and kept."""

from baker.builders.qemu.sources.cache import PreparedSource, prepare
from baker.builders.qemu.sources.reach import source_problems
from baker.builders.qemu.sources.tools import MissingTool, missing_tools, require_installed

__all__ = ["MissingTool", "PreparedSource", "missing_tools", "prepare", "require_installed", "source_problems"]
