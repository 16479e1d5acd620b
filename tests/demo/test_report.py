"""What the quickstart leaves behind to go on from."""

import shlex
from dataclasses import fields

from lrat_hub.demo.report import Artifacts, write_consumer, write_env
from lrat_hub.hub.refs import HubRef


def artifacts() -> Artifacts:
    names = [field.name for field in fields(Artifacts) if field.name != "seconds"]
    return Artifacts(**{name: HubRef.parse(f"lrat/{name}@{'a' * 40}") for name in names}, seconds={})


def test_env_has_the_hub_its_command_and_the_pins_for_its_owner_alone(tmp_path):
    path = write_env(tmp_path, artifacts(), {"HF_TOKEN": "a b"}, "serve it")
    lines = path.read_text().splitlines()
    assert lines[1] == "#   serve it"
    assert f"export HF_TOKEN={shlex.quote('a b')}" in lines
    assert f"export PAIRS=lrat/pairs@{'a' * 40}" in lines
    assert path.stat().st_mode & 0o077 == 0


def test_the_consumer_is_a_program_that_reads_these_pins(tmp_path):
    compile(write_consumer(tmp_path).read_text(), "consume.py", "exec")
