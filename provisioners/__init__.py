"""The steps that recipes are made of. Each is a frozen dataclass; anything of the same shape can stand beside them."""

from provisioners.conda_environment import CondaEnvironment
from provisioners.conda_install import CondaInstall
from provisioners.disk import DiskMount, Partition
from provisioners.files import Files
from provisioners.git import GitClone
from provisioners.pip import PipPackages
from provisioners.reboot import Reboot
from provisioners.sftp import SftpImport
from provisioners.shell import Shell
from provisioners.system import SystemPackages, SystemUpdate

__all__ = [
    "CondaEnvironment",
    "CondaInstall",
    "DiskMount",
    "Files",
    "GitClone",
    "Partition",
    "PipPackages",
    "Reboot",
    "SftpImport",
    "Shell",
    "SystemPackages",
    "SystemUpdate",
]
