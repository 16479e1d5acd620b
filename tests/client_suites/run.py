"""The own tests of huggingface_hub and datasets, against the embedded Hub instead of that which they are for.

    python tests/client_suites/run.py CHECKOUT --python VENV/bin/python [-- options of pytest]

CHECKOUT is one of either project, VENV an environment with it and what its tests need
(`pip install -e "CHECKOUT[testing]"`), without hf-xet. The tests are copied to a folder that goes away, with the
address and accounts of their Hub replaced by those of one that runs meanwhile; the client is what is installed. The
files `excluded_*.txt` name the tests that are left out, each with the reason. It exits as pytest does.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.root import create_token

HERE = Path(__file__).parent
STAGING = "https://hub-ci.huggingface.co"
# Where the tests of each project say who they are: by which names users and tokens stand there, and the organisations
# that each user writes in.
ACCOUNTS = {
    "huggingface_hub": (
        "tests/testing_constants.py",
        [
            ("USER", "TOKEN", ["valid_org_hub"]),
            ("OTHER_USER", "OTHER_TOKEN", []),
            ("ENTERPRISE_USER", "ENTERPRISE_TOKEN", ["EnterpriseOrgPrivate"]),
        ],
    ),
    "datasets": ("tests/fixtures/hub.py", [("CI_HUB_USER", "CI_HUB_USER_TOKEN", [])]),
}
# Those that talk to a Hub; the others are about the client alone.
FILES = {
    "huggingface_hub": """
        test_hf_api test_hf_file_system test_copy_files test_repocard test_cli test_cli_discussions
        test_commit_scheduler test_file_download test_snapshot_download test_hub_mixin test_auth test_lfs
        test_commit_api test_upload_pipeline test_upload_large_folder test_utils_pagination test_eval_results
        test_verification
    """,
    "datasets": "test_upstream_hub test_hub",
}
SUITE = """
import fnmatch, os
def pytest_collection_modifyitems(config, items):
    patterns = [line for line in os.environ["LRAT_EXCLUDED"].splitlines() if line]
    kept, dropped = [], []
    for item in items:
        name = item.nodeid.partition("tests/")[2] or item.nodeid
        (dropped if any(fnmatch.fnmatchcase(name, each) for each in patterns) else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)
"""


def excluded(project: str) -> dict[str, str]:
    """The reason for each pattern of tests that are left out."""
    lines = (HERE / f"excluded_{project}.txt").read_text().splitlines()
    pairs = [line.split(" # ", 1) for line in lines if line.strip() and not line.startswith("#")]
    return {pattern.strip(): reason.strip() for pattern, reason in pairs}


def copied_tests(checkout: Path, project: str, hub: LocalHub, work: Path) -> None:
    shutil.copytree(checkout / "tests", work / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    words, (module, accounts) = {STAGING: hub.endpoint}, ACCOUNTS[project]
    known = dict(re.findall(r'^(\w+) = "(.*)"$', (checkout / module).read_text(), re.M))
    for user, token, organisations in accounts:
        words[known[token]] = create_token(hub.root, known[user], "write", organisations)
    for path in (work / "tests").rglob("*.py"):
        text = path.read_text()
        path.write_text(re.sub("|".join(map(re.escape, words)), lambda match: words[match[0]], text))
    # Their settings, without those of their environment.
    text = (checkout / "pyproject.toml").read_text()
    (work / "pyproject.toml").write_text(re.sub(r"^(env|addopts) = (\[.*?^\]|.*?$)", "", text, flags=re.M | re.S))
    (work / "lrat_excluded.py").write_text(SUITE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable, help="Python of the environment; default: this one.")
    parser.add_argument("--files", nargs="+", help="Files of tests; default: those that talk to a Hub.")
    parser.add_argument("--all", action="store_true", help="Run the excluded tests too.")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    args, options = parser.parse_args(words[:end]), words[end + 1 :]
    project = next(name for name in ACCOUNTS if (args.checkout / "src" / name).is_dir())
    files = args.files or FILES[project].split()
    with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder) / "hub") as hub:
        work = Path(folder) / "work"
        copied_tests(args.checkout, project, hub, work)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHONPATH"))}
        environment |= {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": f"{folder}/home"}
        environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1,localhost"
        environment["LRAT_EXCLUDED"] = "" if args.all else "\n".join(excluded(project))
        environment["PYTHONPATH"] = str(work)
        paths = [f"tests/{name}.py" for name in files]
        command = [args.python, "-m", "pytest", "-p", "lrat_excluded", "-q", *options, *paths]
        return subprocess.run(command, cwd=work, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
