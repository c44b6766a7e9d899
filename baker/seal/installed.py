"""A program for the machine: what conda and pip have installed on it, wherever it is, with no conda or pip started.

A start of conda costs seconds on an emulated machine, once for each environment; what it would print stands in
`conda-meta/*.json`, and what pip would in `*.dist-info`. So the same lines come from one walk, in one Python: any that
the machine has, 3.6 or later, standard library alone. Therefore it is a text here and imports nothing.

An environment of conda is a folder with `conda-meta/history`, a virtual environment one with `pyvenv.cfg`; besides
these, `site-packages` and `dist-packages` folders count, such as /usr/local's and those in home folders. Looked for as
deep as environments are put, and not where the distribution's own packages, caches and data of services lie.

Arguments: the address of conda's channels in this bake, and their public one. Where they differ, the first is replaced
by the second in conda's records: a mirror belongs to the bake, not to the image. Prints JSON: fact -> text.
"""

INSTALLED_PROGRAM = r"""
import glob
import json
import os
import re
import sys

DEEPEST = 6
SKIPPED_PATHS = {
    "/proc", "/sys", "/dev", "/run", "/boot", "/tmp", "/snap", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/libx32", "/usr/share",
    "/usr/src", "/usr/include", "/var/lib", "/var/cache", "/var/log", "/var/tmp", "/var/spool",
}
SKIPPED_NAMES = {".git", "node_modules", "__pycache__", "conda-meta", "pkgs"}


def main(root, mirror, public):
    facts = {}
    for folder, kind in places(root):
        name = folder if root == "/" else folder[len(root):]
        owned = set()
        if kind == "conda":
            records = conda_records(folder, mirror, public)
            owned = {file for record in records.values() for file in record.get("files", ())}
            facts["conda list --explicit --md5 (%s)" % name] = explicit(records)
        packages = [folder] if kind == "packages" else glob.glob(glob.escape(folder) + "/lib*/python3*/site-packages")
        frozen = {line for place in packages for line in freeze(place, folder, owned)}
        if frozen:
            facts["pip freeze (%s)" % name] = sorted(frozen, key=str.lower)
    json.dump({name: "\n".join(lines) for name, lines in sorted(facts.items())}, sys.stdout)


def places(root):
    # (folder, kind) of all that packages are installed in; what lies in one belongs to it, but for a conda's envs/.
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            names = {entry.name: entry for entry in os.scandir(folder)}
        except OSError:
            continue
        folder = folder.rstrip("/")
        if "conda-meta" in names and os.path.exists(folder + "/conda-meta/history"):
            yield folder, "conda"
            names = {name: names[name] for name in names if name == "envs"}
        elif "pyvenv.cfg" in names:
            yield folder, "venv"
            continue
        for name, entry in names.items():
            path = folder + "/" + name
            if name in SKIPPED_NAMES or path[len(root.rstrip("/")):] in SKIPPED_PATHS or not is_folder(entry):
                continue
            if name in ("site-packages", "dist-packages"):
                yield path, "packages"
            elif depth + 1 < DEEPEST:
                waiting.append((path, depth + 1))


def is_folder(entry):
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def conda_records(prefix, mirror, public):
    records = {}
    for path in sorted(glob.glob(glob.escape(prefix) + "/conda-meta/*.json")) + [prefix + "/conda-meta/history"]:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        publicly = text if mirror == public else text.replace(mirror, public).replace(without_login(mirror), public)
        if publicly != text:
            with open(path, "w", encoding="utf-8") as file:
                file.write(publicly)
        if path.endswith(".json"):
            try:
                record = json.loads(publicly)
                records[record["name"]] = record
            except (ValueError, KeyError, TypeError):
                sys.exit("conda's record %s cannot be read" % path)
    return records


def explicit(records):
    # As `conda list --explicit --md5` has it: each package after those that it depends on.
    order = []
    seen = set()

    def add(name):
        if name in seen or name not in records:
            return
        seen.add(name)
        for need in sorted(word.split()[0] for word in records[name].get("depends", ())):
            if (name, need) != ("python", "pip"):  # conda lets python need pip, which needs python
                add(need)
        order.append(name)

    for name in sorted(records):
        add(name)
    return [address(records[name]) for name in order]


def address(record):
    url = re.sub(r"/t/[a-zA-Z0-9-]*/", "/", without_login(record.get("url", "")))  # /t/TOKEN/ lets in as well
    return url + "#" + record["md5"] if record.get("md5") else url


def without_login(url):
    return re.sub(r"://[^/@]*@", "://", url)


def freeze(packages, prefix, owned):
    for pattern in ("*.dist-info/METADATA", "*.egg-info/PKG-INFO", "*.egg-info"):
        for path in glob.glob(glob.escape(packages) + "/" + pattern):
            if os.path.isfile(path) and os.path.relpath(path, prefix) not in owned:
                name, version = headers(path)
                if name:
                    yield pinned(name, version, os.path.join(os.path.dirname(path), "direct_url.json"))


def headers(path):
    found = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            key, colon, value = line.partition(":")
            if not colon:
                break  # the end of the headers
            found.setdefault(key.lower(), value.strip())
            if "name" in found and "version" in found:
                break
    return found.get("name", ""), found.get("version", "")


def pinned(name, version, direct_url):
    # What came from elsewhere than an index says so, as in `pip freeze`.
    try:
        with open(direct_url, encoding="utf-8") as file:
            origin = json.load(file)
        url = without_login(origin["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return "%s==%s" % (name, version)
    if "vcs_info" in origin:
        return "%s @ %s+%s@%s" % (name, origin["vcs_info"].get("vcs"), url, origin["vcs_info"].get("commit_id"))
    if origin.get("dir_info", {}).get("editable"):
        return "-e %s  # %s==%s" % (url, name, version)
    return "%s @ %s  # %s" % (name, url, version)


main(*sys.argv[1:])
"""
