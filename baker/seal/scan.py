"""The gate: nothing secret goes into an image.

    search (on the machine) -> judge (here) -> set aside what packages ship as it is -> set aside what the recipe allows

What is left stops the bake: a file, a line and a kind each, and never the secret. The search sends lines that may hold
secrets over the connection; they live in memory for as long as they are judged.

**Unmodified files of packages are set aside.** Test keys and examples of tokens come with cryptography, moto, Python:
they are known to the world. A file is unmodified when its checksum stands in the records of dpkg, rpm, conda or pip;
what was installed from a folder or a repository has no such record, and neither has a changed file. Secrets of the
recipe are looked for in them all the same. What was set aside is in the manifest, for a person to look at.
"""

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from baker.errors import SealError
from baker.events import Emit, FactRecorded, Notice
from baker.keys import public_half
from baker.ports import MirroredRemote
from baker.recipe import AllowedSecret, Disk
from baker.seal.passages import Passage, Place, Searched
from baker.seal.search import search
from baker.seal.vendor import find_vendor_files
from baker.secret import Redactor
from baker.spellings import Spelled, spelled

RECIPES_OWN = "secret of the recipe"
PRIVATE_KEY = "private key"
CREDENTIALS_FILE = "credentials file"

KNOWN: tuple[AllowedSecret, ...] = (
    AllowedSecret(
        path="/etc/ssl/private/ssl-cert-snakeoil.key",
        kind=PRIVATE_KEY,
        reason="Debian's self-signed certificate for trying things out; nobody trusts it",
    ),
)
"""What Debian makes on each machine."""

HOST_KEYS = "/etc/ssh/ssh_host_*_key"
"""Removed with the access, right after the scan."""

_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something secret, or that looks like it. `what` names it further, and never shows it."""

    kind: str
    place: Place
    what: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({self.what})" if self.what else self.kind

    @property
    def where(self) -> str:
        """Path and line, for a person; a path may hold any character."""
        place = self.place
        path = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in place.path)
        line = f":{place.line}" if place.line is not None else ""
        match place.source:
            case "history":
                return f"{path}, object {place.part[:12]}{line}"
            case "compressed":
                return f"{path}, when decompressed"
        return f"{path}{line}"


def scan(
    remote: MirroredRemote,
    *,
    disks: tuple[Disk, ...],
    allow: tuple[AllowedSecret, ...],
    secrets: Mapping[str, str],
    own_keys: Mapping[str, str],
    emit: Emit,
    leave_out: tuple[str, ...] = (),
) -> None:
    """Refuse a machine that holds a secret (SealError). `secrets` are the recipe's: how each is called -> its value.

    `own_keys` are the bake's: how each is called -> its public key line. `leave_out` are folders that will not be in
    the image, beside the login user's home. Says what it set aside, and why, as facts.
    """
    judge = _Judge(tuple(spelled(name, value) for name, value in secrets.items()), own_keys)
    searched = search(
        remote,
        devices=[remote.disk(disk.name) for disk in disks],
        signs=[sign for rule in judge.rules if not rule.outside_packages for sign in rule.signs],
        own_signs=[sign for rule in judge.rules if rule.outside_packages for sign in rule.signs],
        packages=judge.packages,
        names=[name for rule in judge.rules for name in rule.names],
        secrets=sorted({line for secret in judge.secrets for line in secret.lines}),
        leave_out=leave_out,
        on_passage=judge.take,
    )
    findings = judge.findings(searched.named)
    vendor = find_vendor_files(remote, {finding.place.path for finding in findings if _may_be_vendor(finding)})
    shipped = [finding for finding in findings if _may_be_vendor(finding) and finding.place.path in vendor]
    rest = [finding for finding in findings if finding not in shipped]
    allowed, refused = _apply_allow_list(rest, allow, emit)
    hide = Redactor()  # a path may hold a secret, in any spelling
    hide.add(secrets.values())
    for name, value in _facts(searched, shipped, allowed):
        emit(FactRecorded(source="seal", name=name, value=hide(value)))
    for what, reason in searched.unsearched:
        emit(Notice(level="warning", text=hide(f"not searched for secrets: {what} ({reason})")))
    if refused:
        raise _refusal(refused, hide)


class _Judge:
    """Decides on the baking host what the machine's finds are."""

    def __init__(self, secrets: tuple[Spelled, ...], own_keys: Mapping[str, str]) -> None:
        from baker.seal.rules import IN_PACKAGES, RULES  # noqa: PLC0415  (imports detect-secrets)

        self.secrets = secrets
        self.rules = RULES
        self.packages = IN_PACKAGES
        self._own_keys = own_keys
        self._found: dict[tuple[str, Place], str] = {}
        self._lines_of_secrets: defaultdict[tuple[str, str, str, str], dict[bytes, Place]] = defaultdict(dict)

    def take(self, passage: Passage) -> None:
        """Judge one passage."""
        place = passage.place
        for secret in self.secrets:
            where = self._lines_of_secrets[secret.name, place.path, place.source, place.part]
            where.update((line, place) for line in secret.lines if line in passage.line)
        text = b"\n".join((passage.line, *passage.after)).decode("utf-8", "replace")
        for rule in self.rules:
            if rule.finds_in(place.path, text) and not _goes_later(place):
                self._add(rule.kind, place, self._whose(text) if rule.kind == PRIVATE_KEY else "")

    def findings(self, named: Iterable[str]) -> tuple[Finding, ...]:
        """All, by path. `named` are paths of files whose name says something."""
        for path in named:
            if any(rule.finds_name(path) for rule in self.rules):
                self._add(CREDENTIALS_FILE, Place(path=path))
            for secret in self.secrets:
                if secret.is_among(line for line in secret.lines if line in path.encode("utf-8", "replace")):
                    self._add(RECIPES_OWN, Place(path=path), f"{secret.name}, in the name of the file")
        for secret in self.secrets:
            for (name, *_), lines in self._lines_of_secrets.items():
                if name == secret.name and lines and secret.is_among(lines):
                    first = min(lines.values(), key=lambda place: place.line or 0)
                    self._add(RECIPES_OWN, first, secret.name)
        found = [Finding(kind=kind, place=place, what=what) for (kind, place), what in self._found.items()]
        return tuple(sorted(found, key=lambda it: (it.place.path, it.place.part, it.place.line or 0, it.kind)))

    def _add(self, kind: str, place: Place, what: str = "") -> None:
        """Once for each place; a line may come twice, and tell more in one of them."""
        self._found[kind, place] = self._found.get((kind, place)) or what

    def _whose(self, text: str) -> str:
        public = public_half(text)
        owned = (name for name, line in self._own_keys.items() if public and line.split()[1] == public.split()[1])
        return next(owned, "")


def _goes_later(place: Place) -> bool:
    return fnmatch.fnmatchcase(place.path, HOST_KEYS)


def _may_be_vendor(finding: Finding) -> bool:
    return finding.kind != RECIPES_OWN and not finding.what and finding.place.source in ("", "piece")


def _apply_allow_list(
    findings: Iterable[Finding], allow: tuple[AllowedSecret, ...], emit: Emit
) -> tuple[dict[Finding, AllowedSecret], list[Finding]]:
    """What the recipe allows, by which entry; and the rest. Warns of entries that allow nothing."""
    allowed: dict[Finding, AllowedSecret] = {}
    refused = []
    for finding in findings:
        entries = [entry for entry in (*allow, *KNOWN) if _allows(entry, finding)]
        if entries:
            allowed[finding] = entries[0]
        else:
            refused.append(finding)
    for entry in allow:
        if entry not in allowed.values():
            text = f"the recipe allows a {entry.kind} in {entry.path}, and none was found there: remove the entry"
            emit(Notice(level="warning", text=text))
    return allowed, refused


def _allows(entry: AllowedSecret, finding: Finding) -> bool:
    return entry.kind == finding.kind and fnmatch.fnmatchcase(finding.place.path, entry.path)


def _facts(
    searched: Searched, shipped: Iterable[Finding], allowed: Mapping[Finding, AllowedSecret]
) -> Iterator[tuple[str, str]]:
    """What the manifest says of the scan: name and value."""
    yield "files searched for secrets", str(searched.files)
    lists = {
        "not searched for secrets": [f"{what}: {reason}" for what, reason in searched.unsearched],
        "secrets in unmodified files of packages": sorted({f"{it.place.path}: {it.kind}" for it in shipped}),
        "allowed secrets": [f"{finding.where}: {finding}: {entry.reason}" for finding, entry in allowed.items()],
    }
    for name, lines in lists.items():
        if lines:
            yield name, "\n".join(lines)


def _refusal(findings: list[Finding], hide: Redactor) -> SealError:
    count = "a secret is" if len(findings) == 1 else f"{len(findings)} secrets are"
    details = [(hide(finding.where), str(finding)) for finding in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        details.append(("and", f"{len(findings) - _SHOWN} more"))
    return SealError(
        f"{count} on the machine, and would be in the image",
        details=details,
        hint="remove it in the step that makes it; what may be in the image is allowed with"
        ' allow_secrets=(AllowedSecret(path="...", kind="...", reason="..."),)',
    )
