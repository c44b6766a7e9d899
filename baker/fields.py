"""Whether the fields of a step or a check hold what their annotations say, which Python itself does not ask.

One rule for all of them: each asks first thing when it is made, so that no other rule meets a value of another kind.
What may be a secret is never shown. RecipeError, so that the recipe's file and line are named.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from baker.errors import RecipeError
from baker.secret import Secret

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "True or False", Secret: "a Secret"}
_SHOWN_CHARACTERS = 60


def require_types(step: "DataclassInstance", *, called: str = "", within: str = "") -> None:
    """RecipeError for the first field whose value is not of the kind that its annotation says.

    `called` is how to name the step, by default as its class is; `within` stands before the fields of a part of it.
    """
    called = called or type(step).__name__
    for field in fields(step):
        name, value = f"{within}{field.name}", getattr(step, field.name)
        if not _fits(value, field.type):
            raise RecipeError(
                f"{called}: {_written(name, value, field.type)} is not {_words(field.type)}",
                hint=_hint(field.name, value, field.type),
            )
        for text in _texts(value):
            _refuse_unspeakable(f"{called}: {name}", text)
        if is_dataclass(value) and not isinstance(value, type | Secret):
            require_types(value, called=called, within=f"{name}.")


def require_path(step: str, field: str, path: str) -> None:
    """`path` is absolute, in its shortest form, and of one line: it ends up in commands, logs and fstab."""
    if not path.startswith("/"):
        raise RecipeError(f"{step}: {field} {path!r} is not absolute", hint="paths on the machine begin with /")
    parts = path.split("/")[1:]
    if path != "/" and any(part in ("", ".", "..") for part in parts):
        raise RecipeError(
            f"{step}: {field} {path!r} is not in its shortest form", hint="leave out //, . , .. and a last /"
        )
    if any(ord(character) < 32 for character in path):
        raise RecipeError(f"{step}: {field} {path!r} holds a control character")


def _fits(value: object, wanted: Any) -> bool:
    kind, arguments = get_origin(wanted) or wanted, get_args(wanted)
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in arguments)
    if kind is Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if kind is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, arguments[0]) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _texts(value: object) -> Iterator[str]:
    """All text in a value that fits."""
    match value:
        case str():
            yield value
        case tuple():
            for item in value:
                yield from _texts(item)
        case Mapping():
            for item in (*value.keys(), *value.values()):
                yield from _texts(item)


def _refuse_unspeakable(where: str, text: str) -> None:
    """What no command line, file name or UTF-8 file can hold. The text may be secret: it is not shown."""
    if "\0" in text:
        raise RecipeError(f"{where} holds a null byte", hint="put it on the machine as a file of the recipe")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(f"{where} holds half a character (character {error.start + 1})") from error


def _words(wanted: Any) -> str:
    """What the annotation asks for; without None, which nobody writes."""
    kind, arguments = get_origin(wanted) or wanted, get_args(wanted)
    if kind in (Union, UnionType):
        return _or(_words(one) for one in arguments if one is not NoneType)
    if kind is Literal:
        return _or(repr(one) for one in arguments)
    if kind is tuple:
        return f"a tuple of {_words(arguments[0])}"
    if kind is Mapping:
        return f"a dict from {_words(arguments[0])} to {_words(arguments[1])}"
    return _WORDS.get(kind) or f"{kind.__name__}(...)"


def _or(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _written(name: str, value: object, wanted: Any) -> str:
    if _may_be_secret(wanted):
        return name
    text = repr(value)
    return f"{name}={text if len(text) <= _SHOWN_CHARACTERS else f'{text[:_SHOWN_CHARACTERS]}…'}"


def _may_be_secret(wanted: Any) -> bool:
    return wanted is Secret or any(_may_be_secret(part) for part in get_args(wanted))


def _hint(name: str, value: object, wanted: Any) -> str | None:
    """How to write it, where the slip is a common one."""
    options = get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)
    if Secret in options:
        return f'take it out of the recipe, and write {name}=Secret.from_env("NAME")'
    if name == "mode":
        return f"write it in octal, as {_octal(value) or '0o644'}"
    if any(get_origin(one) is tuple for one in options):
        if isinstance(value, list | set):
            return f"write {name}=(...), round brackets, with a comma after each"
        inner = f'"{value}"' if isinstance(value, str) else f"{type(value).__name__}(...)"
        return f"write {name}=({inner},), with the comma"
    if int in options and isinstance(value, str) and value.strip().isdecimal():
        return f"write {name}={int(value)}, without the quotes"
    if str in options and isinstance(value, list | tuple):
        return "write one text; it may have several lines"
    if str in options and not isinstance(value, type | NoneType):
        return f'write {name}="..."'
    return None


def _octal(value: object) -> str | None:
    """`0o644` for "644", "0644" and "0o644"."""
    digits = value.lower().removeprefix("0o").lstrip("0") if isinstance(value, str) else ""
    return f"0o{digits}" if digits and set(digits) <= set("01234567") else None
