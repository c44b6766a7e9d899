"""Every test that was collected is the one that stands in its file."""

from pathlib import Path

import pytest


def test_no_module_is_taken_for_another_of_the_same_name(request: pytest.FixtureRequest) -> None:
    """pytest imports a module once a name: of two folders called `fake`, each with a test_api.py, one was never run."""
    collected = {item.path: item.module for item in request.session.items if isinstance(item, pytest.Function)}
    taken = {str(path): module.__file__ for path, module in collected.items() if Path(str(module.__file__)) != path}
    assert not taken
