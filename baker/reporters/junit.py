"""checks.xml: the checks with their times, in the form that CI systems read (JUnit)."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

from baker.events import BakeFinished, BakeStarted, CheckFinished, Record, StageStarted, VerificationStarted
from baker.reporters.whole_file import write_whole

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


class JunitFile:
    """Collects checks; writes `path` at BakeFinished, also when there were none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._suite = ET.Element("testsuite", name="bake")
        self._counts = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
        self._seconds = 0.0
        self._stage = ""

    def __call__(self, record: Record) -> None:
        match record.event:
            case BakeStarted(recipe=recipe) | VerificationStarted(recipe=recipe):
                self._suite.set("name", _xml_text(recipe))
                self._suite.set("timestamp", datetime.fromtimestamp(record.at, UTC).isoformat(timespec="seconds"))
            case StageStarted(stage=stage):
                self._stage = stage
            case CheckFinished() as check:
                self._add(check)
            case BakeFinished():
                self._write()

    def _add(self, check: CheckFinished) -> None:
        self._counts[check.outcome] += 1
        self._seconds += check.seconds
        case = ET.SubElement(
            self._suite,
            "testcase",
            classname=_xml_text(f"{self._suite.get('name')}.{self._stage}"),
            name=_xml_text(check.name),
            time=f"{check.seconds:.3f}",
        )
        tags = {"failed": "failure", "error": "error", "skipped": "skipped"}
        if tag := tags.get(check.outcome):
            message = _xml_text(check.message)
            first_line = message.partition("\n")[0]
            ET.SubElement(case, tag, message=first_line).text = message

    def _write(self) -> None:
        self._suite.set("tests", str(sum(self._counts.values())))
        self._suite.set("failures", str(self._counts["failed"]))
        self._suite.set("errors", str(self._counts["error"]))
        self._suite.set("skipped", str(self._counts["skipped"]))
        self._suite.set("time", f"{self._seconds:.3f}")
        suites = ET.Element("testsuites")
        suites.append(self._suite)
        ET.indent(suites)
        write_whole(self._path, ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n")


def _xml_text(text: str) -> str:
    """`text` with what XML cannot hold spelled out."""
    return _NOT_XML.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
