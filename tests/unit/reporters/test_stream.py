"""One stream, many sinks: numbers, times, secrets, and sinks that break."""

import errno
import io
import json
import os
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baker.errors import BakeTimeoutError, Interrupted
from baker.events import (
    BakeFinished,
    BakeStarted,
    CheckFinished,
    Event,
    FactRecorded,
    Notice,
    OutputLine,
    Record,
    from_json,
)
from baker.reporters.jsonlog import JsonLog
from baker.reporters.junit import JunitFile
from baker.reporters.manifest_file import ManifestFile
from baker.reporters.stream import EventStream, NamedSink, redacted
from baker.reporters.textlog import text_log
from baker.secret import Redactor

LINE = OutputLine(stream="stdout", text="x")


def _stream(clock: Any, *sinks: Any, redactor: Redactor | None = None) -> EventStream:
    named = [NamedSink(f"sink {number}", sink) for number, sink in enumerate(sinks)]
    return EventStream(named, clock=clock, redactor=redactor or Redactor())


def test_records_are_numbered_from_0_and_timed(clock: Any) -> None:
    seen: list[Record] = []
    stream = _stream(clock, seen.append)
    for _ in range(3):
        stream.emit(LINE)
        clock.sleep(1.5)
    assert [(record.seq, record.at) for record in seen] == [(0, 1e6), (1, 1e6 + 1.5), (2, 1e6 + 3)]


def test_a_sink_that_breaks_is_dropped_and_the_others_are_told_once(clock: Any) -> None:
    seen: list[Record] = []
    calls = []

    def full(record: Record) -> None:
        calls.append(record)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    stream = _stream(clock, full, seen.append)
    stream.emit(LINE)
    stream.emit(LINE)
    assert len(calls) == 1
    assert [type(record.event) for record in seen] == [OutputLine, Notice, OutputLine]
    assert seen[1].event == Notice(level="warning", text="sink 0 ends here, the bake goes on: No space left on device")
    assert [record.seq for record in seen] == [0, 1, 2]


def test_all_sinks_may_break(clock: Any) -> None:
    def broken(_record: Record) -> None:
        raise ValueError("write to closed file")

    stream = _stream(clock, broken, broken)
    stream.emit(LINE)
    stream.emit(LINE)


@pytest.mark.parametrize("target", ["/dev/full", "a pipe that nobody reads"])
def test_real_broken_streams(clock: Any, target: str) -> None:
    seen: list[Record] = []
    if target.startswith("/"):
        file = Path(target).open("w")  # noqa: SIM115  (closed below, where closing may fail)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        file = os.fdopen(writer, "w")
    stream = _stream(clock, JsonLog(file), text_log(file, clock), seen.append)
    stream.emit(LINE)
    stream.emit(LINE)
    assert [type(record.event) for record in seen] == [OutputLine, Notice, Notice, OutputLine]
    with pytest.raises(OSError, match=r"No space|Broken pipe"):
        file.close()


@pytest.mark.parametrize("stop", [Interrupted(2), BakeTimeoutError("too long"), KeyboardInterrupt()])
def test_being_told_to_stop_breaks_no_sink_and_is_not_lost(clock: Any, stop: BaseException) -> None:
    first: list[Record] = []
    second: list[Record] = []

    def signalled(record: Record) -> None:
        first.append(record)
        if len(first) == 1:
            raise stop

    stream = _stream(clock, signalled, second.append)
    with pytest.raises(type(stop)):
        stream.emit(LINE)
    stream.emit(LINE)
    assert len(first) == len(second) == 2


def test_threads_share_one_count(clock: Any) -> None:
    seen: list[Record] = []
    stream = _stream(clock, seen.append)
    threads = [threading.Thread(target=lambda: [stream.emit(LINE) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.seq for record in seen] == list(range(800))


SECRET = st.text(
    alphabet=st.characters(exclude_characters="*", exclude_categories=("Cs", "Cc")) | st.sampled_from("\"'<>&\\\n "),
    min_size=6,
    max_size=40,
).filter(lambda text: len(text.strip()) >= 6 and not text.strip().isalnum())


@settings(max_examples=60, deadline=None)
@given(secret=SECRET)
def test_no_secret_reaches_a_file_in_any_spelling(secret: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("run")
    redactor = Redactor()
    redactor.add([secret])
    from baker.clock import SystemClock

    log, text = io.StringIO(), io.StringIO()
    stream = _stream(
        SystemClock(),
        JsonLog(log),
        text_log(text, SystemClock()),
        ManifestFile(folder / "manifest.json"),
        JunitFile(folder / "checks.xml"),
        redactor=redactor,
    )
    events: tuple[Event, ...] = (
        BakeStarted(
            run_id="r",
            recipe="x",
            builder="q",
            fingerprint="f",
            image_name="i",
            run_dir="d",
            steps=(f"a {secret}",),
            step_fingerprints=("1",),
            parameters={"p": secret, secret: "q"},
        ),
        OutputLine(stream="stdout", text=f"token={secret};"),
        CheckFinished(name=secret, outcome="failed", seconds=0.0, message=f"expected {secret}"),
        FactRecorded(source="s", name="n", value=secret),
        BakeFinished(exit_code=1, seconds=0.0, summary=secret, details=(("command", f"curl {secret}"),), hint=secret),
    )
    for event in events:
        stream.emit(event)
    manifest = (folder / "manifest.json").read_text()
    checks = (folder / "checks.xml").read_text()
    values = [str(value) for record in log.getvalue().splitlines() for value in _leaves(json.loads(record))]
    values += [str(value) for value in _leaves(json.loads(manifest))]
    values += [text for it in ET.fromstring(checks).iter() for text in (*it.attrib.values(), it.text or "")]
    values += [text.getvalue()]
    needles = [line.strip() for line in (secret, *secret.splitlines()) if len(line.strip()) >= 6]
    assert not [value for value in values for needle in needles if needle in value]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in (key, *_leaves(item))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def test_a_secret_spelled_like_one_of_our_words_changes_no_structure() -> None:
    redactor = Redactor()
    redactor.add(["stdout", "failed", "warning"])
    assert redacted(OutputLine(stream="stdout", text="stdout"), redactor) == OutputLine(stream="stdout", text="***")
    check = CheckFinished(name="x", outcome="failed", seconds=0.0, message="failed")
    assert redacted(check, redactor) == CheckFinished(name="x", outcome="failed", seconds=0.0, message="***")


def test_each_line_of_the_log_is_a_record_that_can_be_read_back(clock: Any, good_bake: tuple[Record, ...]) -> None:
    log = io.StringIO()
    sink = JsonLog(log)
    odd = Record(seq=99, at=1.0, event=OutputLine(stream="stderr", text="a\u2028b\x85c\ud800\n\x00"))
    for record in (*good_bake, odd):
        sink(record)
    lines = log.getvalue().split("\n")
    assert lines.pop() == ""
    assert tuple(from_json(json.loads(line)) for line in lines) == (*good_bake, odd)
    assert log.getvalue().isascii()


def test_checks_xml_is_valid_whatever_a_check_says(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "checks.xml"
    stream = _stream(clock, JunitFile(path))
    odd = "<&> ]]> \x00\x1b[31m \ud800 \ufffe \u2028 größe"
    stream.emit(
        BakeStarted(
            run_id="r",
            recipe="ocean",
            builder="q",
            fingerprint="f",
            image_name="i",
            run_dir="d",
            steps=(),
            step_fingerprints=(),
        )
    )
    stream.emit(CheckFinished(name="fine", outcome="passed", seconds=1.25))
    stream.emit(CheckFinished(name=odd, outcome="failed", seconds=0.5, message=f"first\n{odd}"))
    stream.emit(CheckFinished(name="broke", outcome="error", seconds=0.25, message="boom"))
    stream.emit(CheckFinished(name="left out", outcome="skipped", seconds=0.0, message="no"))
    assert not path.exists()
    stream.emit(BakeFinished(exit_code=7, seconds=1.0))
    suite = ET.parse(path).getroot().find("testsuite")
    assert suite is not None
    counts = {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {"name": "ocean", "tests": "4", "failures": "1", "errors": "1", "skipped": "1", "time": "2.000"}
    failure = suite.findall("testcase")[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "first"
    assert "\\x1b[31m \\ud800 \\ufffe" in (failure.text or "")


def test_the_manifest_is_whole_or_not_there(tmp_path: Path, clock: Any, good_bake: tuple[Record, ...]) -> None:
    path = tmp_path / "manifest.json"
    sink = ManifestFile(path)
    for record in good_bake[:-1]:
        sink(record)
    assert list(tmp_path.iterdir()) == []
    sink(good_bake[-1])
    assert json.loads(path.read_text())["artifact"]["id"] == "/images/ocean"
    assert [it.name for it in tmp_path.iterdir()] == ["manifest.json"]


def test_a_manifest_that_cannot_be_written_fails_nothing(tmp_path: Path, clock: Any) -> None:
    seen: list[Record] = []
    stream = _stream(clock, ManifestFile(tmp_path / "gone" / "manifest.json"), seen.append)
    stream.emit(BakeFinished(exit_code=0, seconds=1.0))
    assert isinstance(seen[-1].event, Notice)
