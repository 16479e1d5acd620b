"""A client of OpenEnv plays episodes of a served search environment, where the extra `openenv` is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from lrat_hub.agent_training.environment import SearchEnv
from lrat_hub.agent_training.openenv_app import PROMPT, app_of, create_search_app
from lrat_hub.agent_training.opening import SearchEnvFactory
from lrat_hub.agents.settings import EnvironmentSettings
from lrat_hub.errors import LratError
from tests.agents.scripted import environment

THINGS = ("lantern", "violin", "anchor", "compass", "ladder", "saddle", "kettle", "hammer")

SPACE = Path(__file__).parents[2] / "examples" / "openenv_search"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openenv") is None,
    reason="needs OpenEnv, in an environment of its own (tests/openenv_stage.sh)",
)


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    """What the variables of a Space name: files of a small collection."""
    folder = tmp_path_factory.mktemp("collection")
    documents = [
        {"docid": f"d{number}", "title": f"The {thing}", "text": f"The {thing} is a thing of colour {number * 7}."}
        for number, thing in enumerate(THINGS)
    ]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    asked = [f"q{number}\tWhich colour has the {thing}?\tThe {thing}" for number, thing in enumerate(THINGS)]
    (folder / "queries.tsv").write_text("\n".join(asked), encoding="utf-8")
    (folder / "qrels.txt").write_text("\n".join(f"q{number} 0 d{number} 1" for number in range(4)), encoding="utf-8")
    return {
        "LRAT_CORPUS": str(folder / "corpus.jsonl"), "LRAT_QUERIES": str(folder / "queries.tsv"),
        "LRAT_QRELS": str(folder / "qrels.txt"), "LRAT_K": "3", "LRAT_MAX_TURNS": "4",
    }  # fmt: skip


@pytest.fixture(scope="module")
def url(variables):
    """A server as a Space starts it, without the page for people."""
    script = (
        "import socket, uvicorn; s = socket.socket(); s.bind(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); from server.app import app; s.listen(); "
        "uvicorn.run(app, fd=s.fileno(), log_level='warning')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=SPACE, env=os.environ | variables | {"ENABLE_WEB_INTERFACE": "false"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health", process)
        yield address
    finally:
        process.terminate()
        process.communicate()


def wait_for(address, process):
    while process.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=60).read()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server ended with {process.returncode}")


@pytest.fixture(scope="module")
def client_module():
    spec = importlib.util.spec_from_file_location("search_env_client", SPACE / "client.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kind(variables):
    settings = EnvironmentSettings(k=3, max_turns=4)
    return SearchEnvFactory(
        variables["LRAT_CORPUS"], settings=settings, qrels=variables["LRAT_QRELS"], options={"prompt": PROMPT}
    ).kind()


def test_a_client_plays_an_episode_and_sees_what_the_environment_shows(url, kind, client_module):
    async def play():
        async with client_module.SearchEnvClient(base_url=url) as client:
            tools = {tool.name: tool.input_schema for tool in await client.list_tools()}
            return tools, await client.play(client_module.first_result, query_id="q2")

    tools, (shown, reward) = asyncio.run(play())
    assert set(tools) == {"search", "get_document", "answer"}
    assert tools["search"]["required"] == ["query"]
    env = kind()
    wanted = [env.reset(query="Which colour has the anchor?", query_id="q2", answer="The anchor")]
    while not env.is_over:
        name, arguments = client_module.first_result(wanted[-1])
        wanted.append(getattr(env, name)(**arguments))
    assert shown == wanted
    assert reward == pytest.approx(env.get_reward())
    assert reward > 1


def test_sessions_are_apart_and_a_limit_ends_an_episode(url, client_module):
    from openenv.core.env_server.mcp_types import CallToolAction

    async def search_on(client, query_id):
        result = await client.reset(query_id=query_id)
        texts = [result.metadata["question"]]
        while not result.done:
            call = CallToolAction(tool_name="search", arguments={"query": f"{query_id} colour {len(texts)}"})
            result = await client.step(call)
            texts.append(client_module.text_of(result.observation))
        after = await client.step(call)
        return texts, result, after

    async def play():
        async with (
            client_module.SearchEnvClient(base_url=url) as one,
            client_module.SearchEnvClient(base_url=url) as two,
        ):
            return await asyncio.gather(search_on(one, "q0"), search_on(two, "q1"))

    (first, ended, after), (second, _, _) = asyncio.run(play())
    assert first[0] == "Which colour has the lantern?"
    assert second[0] == "Which colour has the violin?"
    # Four calls, and one that is not carried out any more.
    assert len(first) == len(second) == 6
    assert "Do not call any more tools" in first[4]
    assert "not carried out" in first[5]
    assert ended.metadata["rewards"]["answer"] == 0.0
    assert ended.metadata["rewards"]["format"] == pytest.approx(4 / 5)
    # What is earned is earned once, whoever goes on after the end.
    assert ended.reward != 0.0
    assert (after.done, after.reward) == (True, 0.0)


def test_openenv_takes_the_folder_for_an_environment_to_push(url):
    from openenv.cli._validation import validate_running_environment
    from openenv.cli.commands.push import _validate_openenv_directory

    name, manifest = _validate_openenv_directory(SPACE)
    assert (name, manifest["app"]) == ("search_env", "server.app:app")
    report = validate_running_environment(url, timeout_s=60)
    assert report["passed"], report["criteria"]


def test_what_is_missing_is_said(variables):
    with pytest.raises(LratError, match="found no LRAT_CORPUS"):
        app_of({**variables, "LRAT_CORPUS": ""})
    with pytest.raises(LratError, match="whole numbers"):
        app_of({**variables, "LRAT_K": "many"})
    with pytest.raises(LratError, match="tool answer"):
        create_search_app(SearchEnv.over(environment()), [object()])  # type: ignore[list-item]
