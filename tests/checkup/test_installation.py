"""Packages that are missing, too old, broken, or installed over each other are told with what mends them."""

import base64
import hashlib
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from lrat_hub.checkup import installation
from tests.checkup.looking import findings, python

# What a whole installation has is looked at, which one without torch is not.
pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]


def put(folder, name, version, files=()):
    """A distribution as pip leaves it, without its code."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},\n" if "," in file else f"{file},,\n" for file in files))
    return str(folder)


def urlsafe_sha256(text):
    """A hash as records of distributions have it."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def without(tmp_path):
    """Options and environment of a Python whose packages are all those here but one."""

    def make(*names):
        site = tmp_path / "site"
        site.mkdir()
        gone = {name.replace("-", "_") for name in names}
        for place in [ROOT, *map(Path, sys.path[1:])]:
            if place != ROOT and place.name != "site-packages":
                continue
            for entry in place.iterdir():
                name = entry.name.partition("-")[0].lower()
                if name not in gone and entry.suffix != ".pth" and not (site / entry.name).exists():
                    (site / entry.name).symlink_to(entry)
        # Of the checkout's own packages, those that an installation has.
        for folder in ("dataset_builders", "training", "eval", "model_cards", "tests"):
            (site / folder).unlink()
        return {"PYTHONPATH": str(site), "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    return make


def test_every_extra_is_described():
    there = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(installation.EXTRAS) | {"gpu", "dev"} == set(there)


def test_what_an_extra_has_of_another_is_among_what_it_requires():
    names = {one.name for one in installation.requirements("examples")}
    assert {"smolagents", "mcp"} <= names
    assert "lrat-hub" not in names
    assert {one.name for one in installation.requirements()}.isdisjoint({"mcp", "peft", "pytest"})


def test_what_is_installed_here_is_as_it_is_required():
    found = {one.about: one for one in (installation._check_python(), *installation._check_packages())}
    assert {one.outcome for one in found.values()} == {"ok"}
    assert found["datasets"].found == metadata.version("datasets")


def test_an_extra_that_is_not_there_is_a_note_with_what_installs_it(without):
    (found,) = findings("[installation._check_extra('lora', 'trains adapters')]", "-S", **without("peft")).values()
    assert (found["outcome"], found["found"]) == ("note", "not installed; it trains adapters")
    assert found["remedy"] == 'pip install "lrat-hub[lora]"'


def test_an_extra_that_is_there_in_part_names_the_missing_part(without):
    (found,) = findings("[installation._check_extra('serve', 'serves')]", "-S", **without("httptools")).values()
    assert (found["outcome"], found["found"]) == ("note", "httptools missing; it serves")


def test_another_version_than_an_extra_or_the_package_requires_is_a_warning(tmp_path):
    put(tmp_path, "mcp", "1.9.0")
    path = put(tmp_path, "datasets", "4.0.0")
    (found,) = findings("[installation._check_extra('serve', '')]", PYTHONPATH=path).values()
    assert (found["outcome"], found["found"]) == ("warning", "mcp: expected <3,>=2.3, found 1.9.0")
    found = findings("installation._check_packages()", PYTHONPATH=path)["datasets"]
    assert (found["outcome"], found["remedy"]) == ("warning", "pip install 'datasets<6,>=5.2'")


@pytest.mark.slow
def test_a_required_package_that_is_missing_stops_the_work_in_lines_and_no_traceback(without):
    environment = without("tenacity")
    code = "import sys; from lrat_hub import cli; sys.exit(cli.main(['doctor']))"
    ended = python(code, "-S", **environment)
    assert ended.returncode == 1
    assert "failed   tenacity: it is not installed\n         -> pip install 'tenacity>=9.0'\n" in ended.stdout
    assert "they can't be looked at without the package tenacity" in ended.stdout
    assert ended.stderr == (
        "error: lrat doctor: expected a working installation, found problems with: tenacity, machine and Hub.\n"
    )


CODE = {
    "faiss-cpu": "def get_num_gpus():\n    return 0\n",
    "faiss-gpu": "class StandardGpuResources:\n    pass\n\n\ndef get_num_gpus():\n    return 0\n",
}


@pytest.mark.parametrize(
    ("there", "outcome", "found"),
    [
        ("faiss-gpu", "note", "faiss-gpu 1.15.1 for GPUs, written over faiss-cpu; it sees no GPUs"),
        ("faiss-cpu", "warning", "faiss-cpu 1.15.1 for CPUs, written over faiss-gpu: GPUs are not used for searches"),
        ("mixed", "failed", "faiss-cpu 1.15.1 and faiss-gpu 1.15.1 are installed over each other, and none"),
    ],
)
def test_of_two_faiss_over_each_other_the_one_that_is_whole_is_told(tmp_path, without, there, outcome, found):
    """In the order of pip the one for GPUs comes last; tests/gpu_stage.sh has the real ones."""
    environment = without("faiss", "faiss_cpu")
    (tmp_path / "faiss").mkdir()
    (tmp_path / "faiss" / "__init__.py").write_text(CODE.get(there, CODE["faiss-cpu"] + "# of another build\n"))
    for name, code in CODE.items():
        put(tmp_path, name, "1.15.1", [f"faiss/__init__.py,sha256={urlsafe_sha256(code)}"])
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    (one,) = findings("[installation._check_faiss()]", **environment, CUDA_VISIBLE_DEVICES="").values()
    assert one["outcome"] == outcome
    assert one["found"].startswith(found)
    remedy = "pip install --force-reinstall --no-deps 'faiss-gpu>=1.15.1'"
    assert one["remedy"] == ("" if outcome == "note" else remedy)


def test_a_faiss_of_other_files_goes_before_faiss_is_written_again(tmp_path):
    """faiss-gpu-cu12 1.14.1 over faiss-cpu 1.15.1 can't be imported: AttributeError, as SWIG's halves differ."""
    (tmp_path / "faiss").mkdir()
    (tmp_path / "faiss" / "__init__.py").write_text("raise AttributeError('no delete_GpuResourcesVector')")
    path = put(tmp_path, "faiss-gpu-cu12", "1.14.1", ["faiss/__init__.py"])
    put(tmp_path, "faiss-tools", "1.0", ["faiss_tools.py"])
    (found,) = findings("[installation._check_faiss()]", PYTHONPATH=path, CUDA_VISIBLE_DEVICES="").values()
    assert found["outcome"] == "failed"
    assert "and faiss-gpu-cu12 1.14.1 can't be imported: AttributeError" in found["found"]
    end = "pip install --force-reinstall --no-deps 'faiss-cpu>=1.12'"
    assert found["remedy"] == f"pip uninstall -y faiss-gpu-cu12 && {end}"


@pytest.mark.parametrize(("name", "check"), [("torch", "_check_torch"), ("faiss", "_check_faiss")])
def test_a_library_that_cannot_be_loaded_stops_the_work_in_one_line(tmp_path, name, check):
    (tmp_path / name).mkdir()
    # A library of machine code that is none.
    (tmp_path / name / "__init__.py").write_text("import ctypes\nctypes.CDLL(__file__)\n")
    (found,) = findings(f"[installation.{check}()]", PYTHONPATH=str(tmp_path)).values()
    assert found["outcome"] == "failed"
    assert "can't be imported: OSError" in found["found"]
    assert "\n" not in found["found"]
    assert "pip install" in found["remedy"]
