"""What somebody may have meant by a word that is unknown."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """`did you mean X?` when a known word is close enough to be a slip of the fingers.

    `likeness` is from 0 to 1: higher where there are many known words, of which most are strangers.
    """
    found = get_close_matches(word, list(known), n=1, cutoff=likeness)
    return f"did you mean {found[0]}?" if found else None
