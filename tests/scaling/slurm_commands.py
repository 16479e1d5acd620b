"""Commands of Slurm that run the script that they get on this machine, for each task of its array.

They do what datatrove needs of sbatch, squeue, srun and scontrol. What sbatch was called with
is in calls.txt.
"""

import sys
from pathlib import Path

SBATCH = '''
import json, os, re, subprocess, sys
from pathlib import Path

here = Path(__file__).parent
with (here / "calls.txt").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
job = str(1000 + len((here / "calls.txt").read_text().splitlines()))
script = Path(sys.argv[-1]).read_text()
(here / f"script-{job}").write_text(script)
tasks = re.search(r"#SBATCH --array=0-(\\d+)", script)
runner = """
import os, subprocess, sys
from pathlib import Path
here, job, tasks = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for task in range(tasks):
    environment = os.environ | {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": job, "SLURM_NODELIST": "node[1-1]"}
    with (here / f"{job}_{task}.out").open("w") as out:
        subprocess.run(["bash", here / f"script-{job}"], env=environment, stdout=out, stderr=out)
(here / f"queued-{job}").unlink()
"""
(here / f"queued-{job}").touch()
environment = dict(os.environ)
for name, value in (word.split("=", 1) for word in sys.argv[1][len("--export=ALL,"):].split(",") if "=" in word):
    environment[name] = value
subprocess.Popen(
    [sys.executable, "-c", runner, here, job, str(int(tasks[1]) + 1 if tasks else 1)], env=environment,
    start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
print(f"Submitted batch job {job}")
'''

SQUEUE = """
import sys
from pathlib import Path

(job,) = (word.removeprefix("--jobs=") for word in sys.argv if word.startswith("--jobs="))
asked = Path(__file__).parent / f"asked-{job}"
if not asked.exists():
    asked.touch()
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
if not (Path(__file__).parent / f"queued-{job}").exists():
    sys.exit("slurm_load_jobs error: Invalid job id specified")
print("RUNNING")
"""

SRUN = """
import os, sys

words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[2:] if words[0] == "-n" else words[1:]
os.execvp(words[0], words)
"""

SCONTROL = """
import sys

assert sys.argv[1:] == ["show", "hostnames", "node[1-1]"], sys.argv
print("node1")
"""


def write_commands(folder: Path) -> None:
    """Writes the commands into a folder, which is then put on the PATH."""
    for name, code in (("sbatch", SBATCH), ("squeue", SQUEUE), ("srun", SRUN), ("scontrol", SCONTROL)):
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(0o755)
