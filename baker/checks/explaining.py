"""Failing asserts that say what they saw, for check functions that stand in a recipe.

pytest explains the asserts of files that it imports itself. A recipe was imported long before pytest, so the
function is compiled once more, from its file, with pytest's rewriting. Only the code is new: globals, defaults and
closure are the function's own. Where that cannot be done (no source, code made at run time) the function stays
as it is, and a failing assert shows its line instead.
"""

import ast
import builtins
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

from _pytest.assertion import rewrite

_NAMES_OF_REWRITTEN_CODE = {"@py_builtins": builtins, "@pytest_ar": rewrite}
"""What a rewritten module imports at its top; no identifiers, so they cannot stand in the way of any other."""


def with_explained_asserts(check: Callable[..., object]) -> Callable[..., object]:
    """`check` with rewritten asserts when it is a plain function whose source can be read, else itself."""
    if not isinstance(check, FunctionType) or _is_rewritten(check):
        return check
    code = _rewritten_code(check.__code__)
    if code is None:
        return check
    check.__globals__.update(_NAMES_OF_REWRITTEN_CODE)
    explained = FunctionType(code, check.__globals__, check.__name__, check.__defaults__, check.__closure__)
    explained.__kwdefaults__ = check.__kwdefaults__
    return explained


def _is_rewritten(check: FunctionType) -> bool:
    return "@pytest_ar" in check.__code__.co_names


def _rewritten_code(original: CodeType) -> CodeType | None:
    """The same function's code out of a rewritten copy of its file; None when it is not there, or differs."""
    try:
        source = Path(original.co_filename).read_bytes()
        module = ast.parse(source, original.co_filename)
        rewrite.rewrite_asserts(module, source, original.co_filename)
        compiled = compile(module, original.co_filename, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return None
    for code in _codes_in(compiled):
        if (code.co_qualname, code.co_firstlineno) == (original.co_qualname, original.co_firstlineno):
            return code if code.co_freevars == original.co_freevars else None
    return None


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    """All code objects inside `code`, however deep."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes_in(constant)
