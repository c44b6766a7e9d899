"""A program for the machine: puts a new conda environment's records right, registers its kernel, lists its packages.

It runs in conda's own Python there (3.9 or later, standard library alone), so it is a text here and imports nothing.

Arguments: the environment; the address of the channels in this bake; their public address; the folder of the bake's
files; the kernel's name, or nothing; prefixes whose Jupyter, if they have one, is to offer the kernel too. Prints JSON:
`explicit`, as `conda list --explicit --md5`, dependencies first; `pip`, `name==version` of what conda does not own;
`kernels`, the folders of the kernels registered. Run again, it changes nothing.
"""

RECORDS_PROGRAM = r"""
import graphlib
import importlib.metadata
import json
import pathlib
import re
import shutil
import sys


def main(target, mirror, public, folder, kernel, *jupyters):
    target = pathlib.Path(target)
    records = forget_the_bake(target, mirror, public, folder)
    found = {"explicit": explicit(records), "pip": installed_by_pip(target, records), "kernels": []}
    spec = target / "share/jupyter/kernels/python3"
    if kernel and (spec / "kernel.json").exists():
        with_jupyter = [path for path in map(pathlib.Path, jupyters) if (path / "bin/jupyter").exists()]
        found["kernels"] = [register(spec, prefix, kernel, target) for prefix in (target, *with_jupyter)]
    json.dump(found, sys.stdout)


def forget_the_bake(target, mirror, public, folder):
    # Conda writes down where each package came from, and its own command with the path of the file; a mirror, and a
    # file that is gone, belong to the bake and not to the image.
    ours = {**dict.fromkeys(spellings_of(mirror), public), folder.rstrip("/") + "/": ""}
    records = {}
    for path in [*sorted(target.glob("conda-meta/*.json")), target / "conda-meta/history"]:
        before = text = path.read_text(encoding="utf-8")
        for spelling, instead in ours.items():
            text = text.replace(spelling, instead)
        if text != before:
            path.write_text(text, encoding="utf-8")
        if path.suffix == ".json":
            record = json.loads(text)
            records[record["name"]] = record
    return records


def spellings_of(mirror):
    # Conda leaves out of most that it writes down who asked: a login, or a token of Anaconda's (/t/TOKEN/).
    without_login = re.sub("//[^/@]*@", "//", mirror)
    without_token = re.sub("/t/[A-Za-z0-9-]+/", "/", without_login)
    hidden_token = re.sub("/t/[A-Za-z0-9-]+/", "/t/<TOKEN>/", without_login)
    return dict.fromkeys((mirror, without_login, hidden_token, without_token))


def explicit(records):
    needs = {name: [word.split()[0] for word in record.get("depends", ())] for name, record in records.items()}
    graph = {name: sorted(set(needs[name]) & set(records)) for name in sorted(records)}
    if "python" in graph:  # conda lets python need pip, which needs python
        graph["python"] = [name for name in graph["python"] if name != "pip"]
    order = None
    while order is None:
        try:
            order = list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as circle:  # some packages of old need each other
            needed, needing = circle.args[1][:2]
            graph[needing].remove(needed)
    return [records[name]["url"] + "#" + records[name].get("md5", "") for name in order]


def installed_by_pip(target, records):
    owned = {file for record in records.values() for file in record.get("files", ())}
    found = []
    for metadata in target.glob("lib/python3*/site-packages/*.dist-info/METADATA"):
        if metadata.relative_to(target).as_posix() not in owned:
            dist = importlib.metadata.PathDistribution(metadata.parent)
            found.append(dist.metadata["Name"] + "==" + dist.version)
    return sorted(found, key=str.lower)


def register(spec, prefix, kernel, target):
    # What `ipykernel install --prefix --name` writes, without importing IPython, which costs seconds when emulated.
    place = prefix / "share/jupyter/kernels" / kernel.lower()
    if place != spec:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(spec, place)
    description = json.loads((spec / "kernel.json").read_text(encoding="utf-8"))
    description["argv"][0] = str(target / "bin/python")
    description["display_name"] = kernel
    new = place / "kernel.json.new"  # renamed over the old one, which may be a link to the file in spec
    new.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    new.replace(place / "kernel.json")
    return str(place)


main(*sys.argv[1:])
"""
