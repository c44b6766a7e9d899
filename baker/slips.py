"""What may have been meant by what Python does not know in a recipe: a name, a module, a field.

Python itself suggests such things only where it prints a traceback, which nobody is shown here.
"""

import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from baker.suggestion import did_you_mean

_CALLED = r"(?P<called>\w+)(?:\.__init__)?\(\)"
_UNKNOWN_FIELD = re.compile(rf"{_CALLED} got an unexpected keyword argument '(?P<field>\w+)'")
_BY_PLACE = re.compile(rf"{_CALLED} takes \d+ positional arguments? but \d+ (?:was|were) given")
_UNKNOWN_IMPORT = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'")


def hint_for(error: BaseException, names: Mapping[str, Any]) -> str | None:
    """What to write instead, where the error shows it; `names` are those that the recipe had by then."""
    match error:
        case ModuleNotFoundError(name=str() as module):
            return _module_meant(module)
        case ImportError():
            return _import_meant(str(error))
        case NameError(name=str() as name):
            return did_you_mean(name, names) or _import_missing(name, names)
        case AttributeError(name=str() as name):
            return did_you_mean(name, _public(dir(error.obj)))
        case TypeError():
            return _field_meant(str(error), names)
    return None


def _module_meant(module: str) -> str:
    parent, _, last = module.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    known = {found.name for found in pkgutil.iter_modules(path)} | (set() if parent else sys.stdlib_module_names)
    install = f"recipes are run by {sys.executable}: install it there, or put {last}.py beside the recipe"
    return did_you_mean(last, known, likeness=0.6 if path else 0.8) or install


def _import_meant(said: str) -> str | None:
    found = _UNKNOWN_IMPORT.search(said)
    return did_you_mean(found["name"], _public(dir(sys.modules.get(found["module"])))) if found else None


def _import_missing(name: str, names: Mapping[str, Any]) -> str | None:
    """The import that would bring `name`, or what is nearly called so, from a package that the recipe knows."""
    for package in _packages_of(names):
        if name in package.__all__:
            return f"add `from {package.__name__} import {name}`"
    known = {word: package for package in _packages_of(names) for word in package.__all__}
    return did_you_mean(name, known)


def _field_meant(said: str, names: Mapping[str, Any]) -> str | None:
    if found := _UNKNOWN_FIELD.search(said):
        fields = _fields(found["called"], names)
        return did_you_mean(found["field"], fields) or (f"it has {', '.join(fields)}" if fields else None)
    if found := _BY_PLACE.search(said):
        fields = _fields(found["called"], names)
        return f"write its fields by name: {found['called']}({fields[0]}=...)" if fields else None
    return None


def _fields(called: str, names: Mapping[str, Any]) -> list[str]:
    """What the thing of this name can be given by name, wherever the recipe has it from."""
    spaces = [names, *(vars(value) for value in names.values() if isinstance(value, ModuleType))]
    for value in (space[called] for space in spaces if called in space):
        try:
            parameters = inspect.signature(value).parameters.values()
        except (TypeError, ValueError):  # no function, or one that does not tell
            continue
        return [it.name for it in parameters if it.kind in (it.KEYWORD_ONLY, it.POSITIONAL_OR_KEYWORD)]
    return []


def _packages_of(names: Mapping[str, Any]) -> Iterator[ModuleType]:
    """The packages that the recipe's names come from, each with its `__all__`; ours first."""
    modules = (getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in names.values())
    tops = dict.fromkeys(["baker", *(str(module).partition(".")[0] for module in modules)])
    for module in (sys.modules[top] for top in tops if top in sys.modules):
        if isinstance(getattr(module, "__all__", None), list):
            yield module


def _public(words: Iterable[str]) -> list[str]:
    return [word for word in words if not word.startswith("_")]
