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

from baker import Disk, Recipe, StepError
from baker.builders.qemu.spec import Qemu

"""


def _with(arguments: str, before: str = "") -> str:
    return f'{_HEAD}{before}recipe = Recipe(**dict(dict(name="x", builders=(Qemu(),)), {arguments}))\n'


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
    "disks a list": _with('disks=[Disk(name="data", size_gib=1)]'),
    "disk name": _with('disks=(Disk(name="My Data!", size_gib=1),)'),
    "disk size": _with('disks=(Disk(name="data", size_gib=0),)'),
    "disk size is text": _with('disks=(Disk(name="data", size_gib="20"),)'),
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
    "check is a class": _with("checks=(Exception,)"),
    "check is a number": _with("checks=(3,)"),
    "check file missing": _with('checks=("checks/nowhere.py",)'),
    "tags": _with('tags={"year": 2026}'),
    "share": _with('share="everybody"'),
}
"""Recipe files that cannot be baked, each under what is wrong with it."""


@pytest.fixture
def bad_recipes() -> dict[str, str | bytes]:
    return BAD


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that can be planned, in the current folder, as `ocean.py`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAKER_MIRRORS", raising=False)
    Path("ocean.py").write_text(GOOD)
    return Path("ocean.py")
