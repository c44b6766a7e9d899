"""Recipe files, good and bad, for the tests of this folder."""

from pathlib import Path

import pytest

GOOD = """\
from dataclasses import dataclass
from pathlib import Path

from baker import Disk, Fetch, Recipe, Requirements
from baker.builders.qemu.spec import Qemu


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    path: str = "/data/x"
    name = "touch a file"
    revision = 1

    def inputs(self):
        return ()

    def requires(self):
        return Requirements(disks=("data",), fetches=(Fetch(kind="git", url="https://example.org/notebooks"),))

    def apply(self, remote):
        remote.run(["touch", self.path])


def file_exists(host):
    assert host.file("/data/x").exists


def recipe(size_gib: int = 3):
    print("a recipe may print")
    return Recipe(
        name="ocean",
        builders=(Qemu(), Qemu(name="big", memory_mib=9000)),
        disks=(Disk(name="data", size_gib=size_gib),),
        provisioners=(Touch(),),
        checks=(file_exists,),
    )
"""

_HEAD = """\
from pathlib import Path
from types import SimpleNamespace

import provisioners
from baker import Disk, Recipe, StepError
from baker.builders.qemu.spec import CloudImage, DebianPackages, Qemu
from baker.checks import imports, mount_present

"""


def _with(arguments: str, before: str = "") -> str:
    return f'{_HEAD}{before}recipe = Recipe(**dict(dict(name="x", builders=(Qemu(),)), {arguments}))\n'


_CONDA = 'provisioners=(provisioners.CondaEnvironment(file="{}"),)'

INPUTS: dict[str, str | bytes] = {
    "broken_neighbour.py": "x = 1\ny = = 2\n",
    "broken.yml": "name: ocean\ndependencies:\n  - python\n - pip\n",
    "slip.yml": "name: ocean\ndependancies: [python]\n",
    "binary.yml": b"\xff\xfe\0",
    "more.yml": "name: ocean\ndependencies: [pip, {pip: [-r more.txt]}]\n",
}
"""Files beside them."""


_STEP = """\
class Step:
    name = "a step"
    revision = 1
    wants = ()
    def inputs(self):
        return ()
    def requires(self):
        from baker import Requirements
        return Requirements(disks=self.wants)
    def apply(self, remote):
        pass

"""

_SHARE = "from baker import Share\n"
_ALLOWED = "from baker import AllowedSecret\n\n"

BAD: dict[str, str | bytes] = {
    "syntax error": "recipe = Recipe(\nname='x'\nbuilders=())\n",
    "tab error": "if True:\n\tx = 1\n        y = 2\n",
    "null bytes": b"QFI\xfb\0\0\0\3",
    "not utf-8": b"x = 1\nname = '\xff\xfe'\n",
    "unknown encoding": b"# -*- coding: klingon -*-\nrecipe = 1\n",
    "raises": "def deeper():\n    return 1 / 0\n\n\nx = deeper()\n",
    "raises in a library": "import json\n\njson.loads('{')\n",
    "raises without words": "raise ValueError\n",
    "exits": "import sys\n\nsys.exit(3)\n",
    "unknown import": "from oceanography import waves\n",
    "unknown name": f"{_HEAD}recipe = Recipie(name='x')\n",
    "missing argument": f"{_HEAD}recipe = Recipe(\n    name='x',\n)\n",
    "unknown argument": f"{_HEAD}recipe = Recipe(nmae='x', builders=(Qemu(),))\n",
    "unknown field of a step": f"{_HEAD}from provisioners import Shell\nShell(comand='true')\n",
    "unknown field of a spec": f"{_HEAD}Qemu(memory=4096)\n",
    "unknown field without a likeness": f"{_HEAD}Disk(colour='blue')\n",
    "fields by place": f"{_HEAD}Disk('data', 4)\n",
    "unknown field of a step in a module": f"{_HEAD}provisioners.Files(target='/a', contnet='')\n",
    "name that was not imported": "from provisioners import Shell\nrecipe = Recipe(name='x')\n",
    "name that was nearly imported": "from provisioners import Shell\nrecipe = Shel(command='true')\n",
    "name that a package has": "from provisioners import Shell\nFiles(target='/a', content='')\n",
    "slip in an import": "from provisioners import Shel\n",
    "slip in a package": "from provisoners import Shell\n",
    "slip in a module": "from baker.builders.qmeu.spec import Qemu\n",
    "slip in an attribute": f"{_HEAD}from baker import Secret\nSecret.from_environment('A')\n",
    "a step refuses": f"{_HEAD}raise StepError('mode 0o99 is no mode', hint='write 0o644')\n",
    "bad neighbour": "import broken_neighbour\n",
    "empty": "",
    "another name": f"{_HEAD}recipes = Recipe(name='x', builders=(Qemu(),))\n",
    "not a recipe": "recipe = {'name': 'x'}\n",
    "the class": "from baker import Recipe as recipe\n",
    "returns nothing": "def recipe():\n    pass\n",
    "needs a parameter": "def recipe(size: int):\n    pass\n",
    "takes anything": "def recipe(**options: int):\n    pass\n",
    "function raises": "def recipe(size: int = 1):\n    return {}['size']\n",
    "deep": "recipe = " + "(" * 5000 + ")" * 5000 + "\n",
    "name": _with('name="My Image"'),
    "name is no text": _with("name=7"),
    "builders empty": _with("builders=()"),
    "builders no tuple": _with("builders=Qemu()"),
    "builder is a class": _with("builders=(Qemu,)"),
    "builder is text": _with('builders=("qemu",)'),
    "builders of one name": _with("builders=(Qemu(), Qemu())"),
    "unknown builder": _with('builders=(SimpleNamespace(kind="qemo", name="qemo", boot_timeout_seconds=9),)'),
    "wrong memory": _with('builders=(Qemu(memory_mib="4 GiB"),)'),
    "two wrong values": _with("builders=(Qemu(cpus=0, disk_gib=-1),)"),
    "a slip in a suite": _with('builders=(Qemu(source=DebianPackages(suite="bookwrm")),)'),
    "text for packages of the source": _with('builders=(Qemu(source=DebianPackages(packages="git")),)'),
    "an image without a sum": _with('builders=(Qemu(source=CloudImage(url="https://x.example/i", sha256="")),)'),
    "another thing of kind qemu": _with(
        'builders=(SimpleNamespace(kind="qemu", name="qemu", boot_timeout_seconds=9),)'
    ),
    "disks a list": _with('disks=[Disk(name="data", size_gib=1)]'),
    "disk name": _with('disks=(Disk(name="My Data!", size_gib=1),)'),
    "disk size": _with('disks=(Disk(name="data", size_gib=0),)'),
    "disk size is text": _with('disks=(Disk(name="data", size_gib="20"),)'),
    "disk of a name taken": _with('disks=(Disk(name="root", size_gib=1),)'),
    "disk begins with a dash": _with('disks=(Disk(name="-data", size_gib=1),)'),
    "disk too large": _with('disks=(Disk(name="data", size_gib=100_000),)'),
    "disks of one name": _with('disks=(Disk(name="data", size_gib=1), Disk(name="data", size_gib=2))'),
    "step is a class": _with("provisioners=(Step,)", _STEP),
    "step is text": _with('provisioners=("apt install git",)'),
    "step name raises": _with(
        "provisioners=(Bad(),)",
        _STEP + "class Bad(Step):\n    @property\n    def name(self):\n        return 1 / 0\n\n",
    ),
    "undeclared disk": _with("provisioners=(Wanting(),)", _STEP + "class Wanting(Step):\n    wants = ('data',)\n\n"),
    "missing input": _with(
        "provisioners=(Step(), Reading())",
        _STEP + "class Reading(Step):\n    def inputs(self):\n        return (Path('environments/nowhere.yml'),)\n\n",
    ),
    "environment of broken YAML": _with(_CONDA.format("broken.yml")),
    "environment without packages": _with(_CONDA.format("slip.yml")),
    "environment that is a folder": _with(_CONDA.format("folder.yml")),
    "environment that is not text": _with(_CONDA.format("binary.yml")),
    "environment that is missing": _with(_CONDA.format("nowhere.yml")),
    "environment with another file": _with(_CONDA.format("more.yml")),
    "a field of another kind": _with('provisioners=(provisioners.Files(target="/a", content="", mode="rwx"),)'),
    "a decimal mode": _with('provisioners=(provisioners.Files(target="/a", content="", mode=644),)'),
    "check is a class": _with("checks=(Exception,)"),
    "check is a number": _with("checks=(3,)"),
    "check that was not called": _with("checks=(mount_present,)"),
    "check of another kind": _with("checks=(mount_present(5),)"),
    "check of a path that is relative": _with('checks=(mount_present("data"),)'),
    "check of a name that is none": _with('checks=(imports("a b", prefix="/opt/conda"),)'),
    "check of nothing": _with('checks=(imports(prefix="/opt/conda"),)'),
    "check without a host": _with("checks=(lambda: True,)"),
    "check that runs nothing": _with("checks=(later,)", "async def later(host):\n    assert False\n\n"),
    "steps are None": _with("provisioners=None"),
    "step is None": _with("provisioners=(None,)"),
    "null byte": _with('provisioners=(provisioners.Shell(command="true\\0"),)'),
    "half a character": _with('provisioners=(provisioners.Files(target="/a", content="\\ud800"),)'),
    "no number": _with('provisioners=(provisioners.Reboot(timeout_seconds=float("nan")),)'),
    "check file missing": _with('checks=("checks/nowhere.py",)'),
    "allowed secret of no kind": _with(
        'allow_secrets=(AllowedSecret(path="/srv/*", kind="privat key", reason="a test key"),)', _ALLOWED
    ),
    "allowed secret without reason": _with(
        'allow_secrets=(AllowedSecret(path="/srv/*", kind="private key", reason=" "),)', _ALLOWED
    ),
    "allowed secret of a relative path": _with(
        'allow_secrets=(AllowedSecret(path="srv/*", kind="private key", reason="a test key"),)', _ALLOWED
    ),
    "share with text": _with('share=Share(targets="/srv/images")', _SHARE),
    "share with a path": _with('share=Share(targets=(Path("/srv/images"),))', _SHARE),
    "share with half a path": _with('share=Share(targets=("images", "s3://bucket"))', _SHARE),
    "share with everybody": _with("share=Share(public=True)", _SHARE),
    "allowed secret is text": _with('allow_secrets=("/srv/key.pem",)'),
    "secret without a name": "from baker import Secret\n\ntoken = Secret.from_env('')\n",
    "secret's value for its name": "from baker import Secret\n\ntoken = Secret.from_env('correct-horse-battery')\n",
    "secret without a file": "from baker import Secret\n\ntoken = Secret.from_file('')\n",
    "secret without a command": "from baker import Secret\n\ntoken = Secret.from_command()\n",
    "check file is a folder": _with('checks=("folder.yml",)'),
    "tags": _with('tags={"year": 2026}'),
    "share": _with('share="everybody"'),
}
"""Recipe files that cannot be baked, each under what is wrong with it."""


@pytest.fixture
def bad_recipes() -> dict[str, str | bytes]:
    return BAD


@pytest.fixture
def bad_inputs() -> dict[str, str | bytes]:
    return INPUTS


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that can be planned, in the current folder, as `ocean.py`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAKER_MIRRORS", raising=False)
    Path("ocean.py").write_text(GOOD)
    return Path("ocean.py")
