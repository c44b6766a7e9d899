"""A research machine for oceanographers: JupyterLab and the usual Python, notebooks, and data on a disk of its own.

    bake recipes/ocean.py                                    with conda-forge, GitHub and a data host in reach
    python -m lab run -- bake recipes/ocean.py               where they are not: the lab serves what is fetched
    bake recipes/ocean.py --on aws                           in your AWS account, in the region of your environment
    bake recipes/ocean.py --on azure --set azure_group=images --set azure_gallery=research     in your subscription
    bake recipes/ocean.py --set data_gib=200 --set notebooks=https://github.com/you/your-notebooks --set ref=main \\
        --set notebook=tides.ipynb --set data=sftp://your.host/tides --set data_user=you

The notebooks and the data are examples, and the lab's own: `recipes/notebooks/` is the repository, `lab/making/
dataset.py` makes the data. In a world without the lab, name yours.
"""

from baker import Disk, Recipe, Secret, SftpSource
from baker.builders.aws.spec import Aws
from baker.builders.azure.spec import Azure, Gallery
from baker.builders.qemu.spec import DebianPackages, Qemu
from baker.checks import imports, jupyter_runs, kernel_starts, mount_present, notebook_runs
from provisioners import (
    CondaEnvironment,
    CondaInstall,
    DiskMount,
    GitClone,
    PipPackages,
    SftpImport,
    SystemPackages,
)

CONDA = "/opt/conda"
ENVIRONMENT = f"{CONDA}/envs/ocean"  # recipes/environments/ocean.yml says `name: ocean`
NOTEBOOKS = "/srv/notebooks/ocean"
DATA = "/data/ocean"


def recipe(
    notebooks: str = "https://github.com/image-baker/ocean-notebooks",
    ref: str = "f38914b4c6d8459501814c6232516fff8ddaf3bd",  # v1; a commit, so that nobody can move it
    notebook: str = "seasons.ipynb",
    data: str = "sftp://data.example.org/ocean",
    data_user: str = "ocean",
    data_gib: int = 4,
    azure_group: str = "images",
    azure_gallery: str = "research",
) -> Recipe:
    """Each parameter can be changed with `--set NAME=VALUE`. The password is taken from $OCEAN_DATA_PASSWORD."""
    return Recipe(
        name="ocean",
        description="JupyterLab, xarray and friends, with notebooks and data",
        builders=(
            Qemu(source=DebianPackages(suite="bookworm"), memory_mib=4096, cpus=2, disk_gib=12),
            Aws(source="debian-12", instance_types=("t3.large", "t3a.large", "m5.large"), root_gib=16),
            Azure(
                source="Debian:debian-12:12-gen2:latest",
                sizes=("Standard_D2s_v5", "Standard_D2as_v5"),
                root_gib=32,
                gallery=Gallery(group=azure_group, name=azure_gallery),  # a gallery that is there; its region is taken
            ),
        ),
        disks=(Disk(name="data", size_gib=data_gib),),
        provisioners=(
            SystemPackages(packages=("git", "xfsprogs")),
            # The data live on a disk that can grow, move and be shared without the system.
            DiskMount(disk="data", path="/data", filesystem="xfs"),
            CondaInstall(prefix=CONDA, channels=("conda-forge",)),
            CondaEnvironment(file="environments/ocean.yml", prefix=CONDA),
            # What conda-forge has is better taken from there; this is how to add what it has not.
            PipPackages(packages=("utm",), conda_environment=ENVIRONMENT),
            GitClone(url=notebooks, ref=ref, target=NOTEBOOKS),
            # Relayed through the baking host: the machine never sees the password.
            SftpImport(
                source=SftpSource(url=data, user=data_user, password=Secret.from_env("OCEAN_DATA_PASSWORD")),
                target=DATA,
            ),
        ),
        checks=(
            mount_present("/data"),
            imports("xarray", "netCDF4", "cmocean", "networkx", "matplotlib", "utm", prefix=ENVIRONMENT),
            "checks/ocean_data.py",
            kernel_starts("ocean", prefix=ENVIRONMENT),
            jupyter_runs(prefix=ENVIRONMENT),
            notebook_runs(f"{NOTEBOOKS}/{notebook}", prefix=ENVIRONMENT),
        ),
    )
