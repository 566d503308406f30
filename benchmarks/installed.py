"""What an installation brings along, read from what is installed here."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALREADY_THERE = ("langchain-core", "httpx")


def needed_by(name: str) -> dict[str, Distribution]:
    """Find a distribution and all that it needs, extras left out, by name."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform
        needed = map(Requirement, found[name].requires or ())
        waiting += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def brought_along(name: str) -> set[str]:
    """Name what comes beyond langchain-core, httpx and what they need."""
    return set(needed_by(name)) - {other for there in ALREADY_THERE for other in needed_by(there)}


def size_of(name: str) -> int:
    """Give the bytes on disk of a distribution and of all that it needs, bytecode left out."""
    return sum(_own_size(there) for there in needed_by(name).values())


def _own_size(there: Distribution) -> int:
    paths = [Path(str(there.locate_file(file))) for file in there.files or ()]
    if any(path.name.startswith("_editable_impl") or path.suffix == ".pth" for path in paths):
        package = there.metadata["Name"].replace("-", "_")
        paths += Path(__file__).parent.parent.joinpath(package).rglob("*")
    return sum(p.stat().st_size for p in set(paths) if p.is_file() and p.suffix != ".pyc")
