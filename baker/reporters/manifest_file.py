"""manifest.json: what the bake made and of what, written once, when the bake has finished."""

import json
from pathlib import Path

from baker.events import BakeFinished, Record
from baker.manifest import EMPTY, Manifest, fold, of_image, to_json
from baker.reporters.whole_file import write_whole


class ManifestFile:
    """Folds records as they come; writes `path` at BakeFinished. A bake that was killed has its events.jsonl."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._manifest = EMPTY

    def __call__(self, record: Record) -> None:
        self._manifest = fold((record,), self._manifest)
        if isinstance(record.event, BakeFinished):
            write_whole(self._path, _text(self._manifest))

    def for_image(self) -> str:
        """What is known so far, as it goes with the image: free of secrets, as all that a sink sees."""
        return _text(of_image(self._manifest))


def _text(manifest: Manifest) -> str:
    return json.dumps(to_json(manifest), indent=2) + "\n"
