"""Python, the packages that are needed, FAISS, and optional extras, by what the distributions say of themselves."""

from __future__ import annotations

import base64
import hashlib
import importlib
import platform
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.checkup.findings import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "lrat-hub"
SHOWN = ("torch", "transformers", "datasets", "huggingface_hub", "sentence-transformers", "trl")
"""Packages whose versions people ask for; of the others only what is wrong is told."""

EXTRAS = {
    "vllm": "serves the models of agents and judges on GPUs of this machine",
    "serve": "serves retrievers to agents that speak MCP, and writes traces",
    "lancedb": "keeps vectors in a table of LanceDB",
    "lora": "trains adapters instead of whole models",
    "metrics": "is for the metric modules of `evaluate`",
    "mteb": "evaluates models by MTEB's own code",
    "examples": "runs the agents in examples/",
    "openenv": "offers SearchEnv as an environment of OpenEnv",
    "scale": "lets several workers and machines share the work of a stage",
    "ray": "lets a Ray cluster do so, and run a judge's language model in bulk",
    "completion": "completes commands and options in shells",
    "docs": "builds the documentation as a site",
}
"""Extras and what they are for; FAISS for GPUs is looked at with FAISS, and `dev` is for work on this repository."""

OF_FAISS = {"faiss-cpu", "faiss-gpu"}
"""Distributions of FAISS's own project, whose files have the same names; others leave a mixture."""

APART = {"vllm", "openenv"}
"""Extras that pin versions which exclude others: they are best installed in an environment of their own."""


def check_installation() -> Iterator[Finding]:
    """Python, packages, FAISS and extras."""
    yield _check_python()
    yield from _check_packages()
    yield _check_torch()
    yield _check_faiss()
    for extra, purpose in EXTRAS.items():
        yield _check_extra(extra, purpose)


def requirements(extra: str = "") -> list[Requirement]:
    """What this package requires, or what one of its extras requires in addition."""
    from packaging.requirements import Requirement

    found: list[Requirement] = []
    for one in map(Requirement, metadata.requires(DISTRIBUTION) or ()):
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            wanted = not extra
        else:
            wanted = bool(extra) and one.marker.evaluate({"extra": extra})
        if wanted and one.name == DISTRIBUTION:  # an extra is made of others
            found += [part for name in one.extras for part in requirements(name)]
        elif wanted:
            found.append(one)
    return found


def version_of(name: str) -> str | None:
    """The installed version of a distribution; None where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _check_python() -> Finding:
    from packaging.specifiers import SpecifierSet

    found = f"{platform.python_version()}, lrat-hub {metadata.version(DISTRIBUTION)}"
    needed = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    if platform.python_version() in SpecifierSet(needed, prereleases=True):
        return Finding("Python", "ok", found)
    return Finding("Python", "failed", f"{found} needs Python {needed}", f"Make an environment with Python {needed}.")


def _check_packages() -> Iterator[Finding]:
    others = 0
    wrong: list[Finding] = []
    for needed in requirements():
        version = version_of(needed.name)
        if needed.name.startswith("faiss"):
            continue
        if (problem := _problem(needed, version)) is None:
            if needed.name in SHOWN:
                yield Finding(needed.name, "ok", str(version))
            else:
                others += 1
        else:
            outcome = "failed" if version is None else "warning"
            wrong.append(Finding(needed.name, outcome, problem, f"pip install {_quoted(needed)}"))
    yield Finding("further packages", "ok", f"{others} as they are required")
    yield from wrong


def _problem(needed: Requirement, version: str | None) -> str | None:
    """What is wrong with an installed version; None where nothing is."""
    if version is None:
        return "it is not installed"
    if needed.specifier.contains(version, prereleases=True):
        return None
    return f"expected {needed.specifier}, found {version}"


def _quoted(needed: Requirement) -> str:
    extras = f"[{','.join(sorted(needed.extras))}]" if needed.extras else ""
    return shlex.quote(f"{needed.name}{extras}{needed.specifier}")


def _imported(name: str) -> Any:
    """A module, or the reason why it can't be imported: broken installations raise errors of many kinds."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _check_torch() -> Finding:
    torch = _imported("torch")
    if isinstance(torch, str):
        return Finding(
            "PyTorch",
            "failed",
            f"it can't be imported: {torch}",
            "pip uninstall -y torch && pip install torch, or a build from https://pytorch.org/get-started/locally",
        )
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs"
    if torch.version.hip:
        built = f"built for ROCm {torch.version.hip}"
    gpus = _gpus()
    if torch.cuda.is_available():
        return Finding("PyTorch", "ok", f"{built}; it sees {torch.cuda.device_count()} GPUs")
    if not gpus:
        return Finding("PyTorch", "ok", f"{built}; it sees no GPU")
    remedy = "Update the driver, or install a build for its CUDA: https://pytorch.org/get-started/locally"
    if not torch.version.cuda:
        remedy = "Install a build for CUDA: https://pytorch.org/get-started/locally"
    return Finding("PyTorch", "warning", f"{built}; it can't use the {gpus} GPUs of this machine", remedy)


def _gpus() -> int:
    try:
        from lrat_hub.planning.machine import Machine
    except ImportError:
        return 0  # what is missing is told
    return len(Machine.here().gpus)


def _check_faiss() -> Finding:
    names = {name for one in metadata.distributions() if (name := str(one.metadata["Name"])).startswith("faiss")}
    # The first of a name on the path is the one that counts.
    known = {name: metadata.distribution(name) for name in names}
    installed = {name: one for name, one in known.items() if any(file.parts[0] == "faiss" for file in one.files or ())}
    gpus, faiss = _gpus(), _imported("faiss")
    extra = "gpu" if gpus or "faiss-gpu" in installed else ""
    wanted = next(one for one in requirements(extra) if one.name.startswith("faiss"))
    again = f"pip install --force-reinstall --no-deps {_quoted(wanted)}"
    if strangers := sorted(installed.keys() - OF_FAISS):
        again = f"pip uninstall -y {' '.join(strangers)} && {again}"
    # Both write the same files, and the last one's are there: whole, or mixed with those of the other.
    whole = [name for name, one in installed.items() if len(installed) == 1 or _is_whole(one)]
    shown = " and ".join(f"{name} {one.version}" for name, one in sorted(installed.items()))
    if isinstance(faiss, str):
        return Finding("FAISS", "failed", f"{shown or 'it'} can't be imported: {faiss}", again)
    if installed and not whole:
        return Finding("FAISS", "failed", f"{shown} are installed over each other, and none of them is whole", again)
    built = "for GPUs" if hasattr(faiss, "StandardGpuResources") else "for CPUs"
    # Conda's packages have other names, or none that Python knows.
    found = f"{' and '.join(f'{name} {installed[name].version}' for name in whole) or faiss.__version__} {built}"
    if over := sorted(installed.keys() - set(whole)):
        found += f", written over {' and '.join(over)}"
    if built == "for GPUs":
        seen = faiss.get_num_gpus()
        return Finding("FAISS", "ok" if seen else "note", f"{found}; it sees {seen or 'no'} GPUs")
    if over:
        return Finding("FAISS", "warning", f"{found}: GPUs are not used for searches", again)
    if gpus:
        remedy = f'pip install "{DISTRIBUTION}[gpu]"'
        return Finding("FAISS", "note", f"{found}: GPUs of this machine are not used for searches", remedy)
    return Finding("FAISS", "ok", found)


def _is_whole(distribution: metadata.Distribution) -> bool:
    """Whether the code that is there is a distribution's own, by the hashes of its record."""
    for file in distribution.files or ():
        if file.suffix in (".py", ".so") and file.hash is not None:
            try:
                digest = hashlib.new(file.hash.mode, Path(str(file.locate())).read_bytes()).digest()
            except OSError:
                return False
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                return False
    return True


def _check_extra(extra: str, purpose: str) -> Finding:
    about = f"extra {extra}"
    remedy = f'pip install "{DISTRIBUTION}[{extra}]"'
    if extra in APART:
        remedy += ", in an environment of its own: it pins versions of other packages"
    needed = requirements(extra)
    versions = {one.name: version_of(one.name) for one in needed}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        there = "not installed" if len(missing) == len(needed) else f"{' and '.join(missing)} missing"
        return Finding(about, "note", f"{there}; it {purpose}", remedy)
    wrong = [f"{one.name}: {text}" for one in needed if (text := _problem(one, versions[one.name]))]
    if wrong:
        return Finding(about, "warning", "; ".join(wrong), remedy)
    return Finding(about, "ok", ", ".join(f"{name} {version}" for name, version in versions.items()))
