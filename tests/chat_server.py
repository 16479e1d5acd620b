"""A chat server with a script in the place of a model: real HTTP, each model's own format, and faults on demand.

In a test, in a thread of this process::

    with ChatServer(Script(protocol="tongyi", delay=0.05)) as server:
        client = ChatClient(server.base_url, "scripted")
        ...
        server.requests      # the bodies of all requests for a reply, in order of arrival
        server.stats()       # counts, see below

As a process of its own (for kill and throughput tests), by hand or with `serve`, which yields the URL::

    python -m tests.chat_server --port 8000 --protocol json --delay 0.05 --errors 0.1
    with serve(Script(protocol="json")) as base_url: ...
    with ServerProcess(Script(protocol="json")) as server:
        server.kill()        # SIGKILL
        server.start()       # again, at the same port

The first line of its output is `http://127.0.0.1:PORT/v1`; port 0 takes a free one. `GET /health`, `GET /v1/models`
and `POST /v1/chat/completions` are as vLLM has them; `GET /stats` gives the counts: `requests`, `replies`, `errors`,
`hangs`, `cuts`, `refused` (the context was too long), `malformed` (replies), `most_at_once`, `questions` (different
ones) and `busy_seconds` (the sum of the delays that were waited for).

The script searches for the question, opens listed documents, argues about them, searches again and answers with the
title it read last; how often depends on a hash of the question and the seed. A reply is a function of the request
alone, so that whoever asks again is told the same. Faults, too, sit at places that a hash of the request or of the
question decides.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from aiohttp import web

PROTOCOLS = ("tongyi", "webexplorer", "tools", "glm", "gpt-oss", "json")
FINAL_ANSWER = "final_answer"
"""The tool by which agents of smolagents answer."""

MALFORMED = ("cut", "unreadable", "unknown-tool", "wrong-type", "unseen", "empty", "several")


REFUSALS = {
    "vLLM": "This model's maximum context length is {limit} tokens. However, your prompt contains {words} input "
    "tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.",
    "llama.cpp": "request ({words} tokens) exceeds the available context size ({limit} tokens), try increasing it",
}
"""How servers refuse requests that are too long, in their own words."""


WRONG = {
    "page": (200, "text/html", "<html>Log in</html>"),
    "empty": (200, "application/json", ""),
    "null": (200, "application/json", "null"),
    "error": (200, "application/json", '{"error": {"message": "Upstream failed", "code": 502}}'),
    "deep": (200, "application/json", "[" * 100_000),
    "key": (401, "application/json", '{"error": "Incorrect API key"}'),
    "model": (404, "application/json", '{"error": "The model does not exist."}'),
    "busy": (429, "application/json", '{"error": "Quota exceeded"}'),
    "down": (500, "application/json", '{"error": "Internal"}'),
    "gateway": (502, "text/html", "<html>Bad gateway</html>"),
}
"""Answers that are no replies: status, type and text. A server that is busy asks for a pause of 0.01 s."""


@dataclass(frozen=True)
class Script:
    """What the server does.

    Args:
        protocol: "tongyi" (text in tags), "webexplorer" (the same without <answer>), "tools" (vLLM: function calls,
            `reasoning`), "glm" (GLM and MiniMax: function calls, `reasoning_content`), "gpt-oss" (as vLLM serves it,
            with a harmony token in some names), "json" (a JSON schema).
        model: The name it is served by.
        delay: Seconds that a reply takes.
        last: Number of replies after which all requests hang; 0 for none.
        slots: Replies that are made at the same time, as a GPU has room for so many; 0 for all.
        context_tokens: Requests with more words than this are refused; 0 for no limit.
        refusal: Whose words they are refused with, one of REFUSALS.
        errors, hangs, cuts: Shares of the requests that get a 500, no reply at all, or a reply cut in the middle.
        times: How often such a request is met so before it is answered. -1 for always.
        broken: Share of the questions that are never answered but with a 500.
        malformed: Share of the replies with a call that can't be carried out.
        malformed_kind: One of MALFORMED, or "" for all in turn.
        stubborn: Share of the questions for which one search is repeated for ever.
        endless: Share of the questions that are searched for without an end.
        wrong: What all requests for a reply get in its place, one of WRONG; "" for replies.
    """

    protocol: str = "tools"
    model: str = "scripted"
    delay: float = 0.0
    last: int = 0
    slots: int = 0
    context_tokens: int = 0
    refusal: str = "vLLM"
    errors: float = 0.0
    hangs: float = 0.0
    cuts: float = 0.0
    times: int = 1
    broken: float = 0.0
    malformed: float = 0.0
    malformed_kind: str = ""
    stubborn: float = 0.0
    endless: float = 0.0
    wrong: str = ""

    def __post_init__(self) -> None:
        if (
            self.protocol not in PROTOCOLS
            or self.malformed_kind not in ("", *MALFORMED)
            or self.wrong not in ("", *WRONG)
        ):
            raise ValueError(f"unknown protocol or kind: {self}")


@dataclass(frozen=True)
class _Move:
    """What the model does next: calls as (tool, argument), or an answer."""

    reasoning: str
    calls: tuple[tuple[str, Any], ...] = ()
    answer: str | None = None


def _fraction(*parts: str) -> float:
    """A number in [0, 1) that is always the same for the same parts."""
    return int.from_bytes(hashlib.sha256("\x00".join(parts).encode()).digest()[:8], "big") / 2**64


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _asked(script: Script, request: Mapping[str, Any]) -> tuple[str, list[str], bool]:
    """The question, what the tools have shown since, and whether an answer is wanted now."""
    messages = request["messages"]
    first = next(place for place, message in enumerate(messages) if message["role"] == "user")
    after = [message for message in messages[first + 1 :] if message["role"] in ("user", "tool")]
    shown = [_text(message) for message in after]
    # smolagents shows what its tools gave as a message of the user.
    last = bool(after) and after[-1]["role"] == "user" and not shown[-1].startswith("Observation:")
    if script.protocol in ("tongyi", "webexplorer"):
        last = last and "<tool_response>" not in shown[-1]
    elif script.protocol == "json":
        schema = json.dumps(request.get("response_format", {}))
        last = '"search"' not in schema
    return _text(messages[first]), shown, last


def _move(script: Script, request: Mapping[str, Any]) -> _Move:
    """The model's policy."""
    question, shown, last = _asked(script, request)
    seed = str(request.get("seed"))
    everything = "\n".join(shown)
    listed = re.findall(r"^\[\d+\] DocID: (\S+)", everything, re.MULTILINE)
    opened = re.findall(r"(?<!\] )DocID: (\S+)\nTitle: (.*)", everything)
    searches = len(re.findall(r"^Results for ", everything, re.MULTILINE))
    title = opened[-1][1] if opened else "unknown"
    words = question.split()
    thought = f"The question is: {question}"
    if opened:
        length = int(_fraction("length", question, opened[-1][0]) * 60)
        thought = f"I have read {title!r}. It " + " ".join(["says more and more"] * (length // 4) + ["helps me."])
    if last:
        return _Move(thought, answer=f"{title}\nConfidence: {round(100 * _fraction('sure', question))}%")
    if _fraction("stubborn", question) < script.stubborn:
        return _Move("Once more.", (("search", words[0]),))
    if _fraction("endless", question) < script.endless:
        return _Move(f"Try number {searches}.", (("search", f"{words[searches % len(words)]} {searches}"),))
    plan: list[str] = []
    for number in range(1 + int(_fraction("searches", question, seed) * 3)):
        browses = max(number == 0, int(_fraction("browses", question, seed, str(number)) * 3))
        plan += ["search", *["browse"] * browses]
    done = searches + len(opened)
    unread = [docid for docid in dict.fromkeys(listed) if docid not in {docid for docid, _ in opened}]
    if done < len(plan) and (plan[done] == "search" or not searches):
        query = question if not searches else f"{title} {' '.join(words[-1 - searches :])}"
        return _Move(thought, (("search", query),))
    if done < len(plan) and unread:
        return _Move(f"{thought} I open {unread[0]}.", (("browse", unread[0]),))
    return _Move(thought, answer=f"{title}\nConfidence: {round(100 * _fraction('sure', question))}%")


def _tool_names(request: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """For "search" and "browse" the name of the tool and of its argument, as the request describes them."""
    tools = request.get("tools") or [
        json.loads(line)
        for line in _text(request["messages"][0]).splitlines()
        if line.startswith("{") and '"function"' in line
    ]
    names = {}
    for tool in (tool["function"] for tool in tools):
        if tool["name"] == FINAL_ANSWER:
            continue
        properties = list(tool["parameters"]["properties"])
        names["browse" if {"docid", "url"}.intersection(properties) else "search"] = (tool["name"], properties[0])
    return names


def _arguments(action: str, key: str, value: Any, kind: str) -> Any:
    """A call's arguments, an object, or for some kinds of malformed calls a text that is none."""
    if kind == "wrong-type":
        return {key: {"text": 3}}
    if kind == "unseen" and action == "browse":
        return {key: "no-such-document"}
    # Search tools take a list, as the models were trained on.
    return {key: [value] if action == "search" else value}


def _as_text(script: Script, request: Mapping[str, Any], move: _Move, kind: str) -> dict[str, Any]:
    """A message of Tongyi-DeepResearch, or with "webexplorer" of WebExplorer and AgentCPM-Explore."""
    # Templates that end with <think> leave the opening tag out of the reply.
    opening = "" if _fraction("think", move.reasoning) < 0.5 else "<think>\n"
    text = f"{opening}{move.reasoning}\n</think>\n"
    if kind == "empty":
        text = ""
    elif move.answer is not None:
        text += f"<answer>\n{move.answer}\n</answer>" if script.protocol == "tongyi" else f"\n{move.answer}"
    else:
        names = _tool_names(request)
        for action, value in move.calls:
            name, key = names[action]
            call: Any = {"name": name, "arguments": _arguments(action, key, value, kind)}
            if kind == "unknown-tool":
                call["name"] = "python"
            body = "search for it, please" if kind == "unreadable" else json.dumps(call)
            if kind == "cut":
                text += f"<tool_call>\n{body[: len(body) // 2]}"
                return {"content": text, "finish_reason": "length"}
            text += f"<tool_call>\n{body}\n</tool_call>\n"
        # Without a stop the model goes on and invents what the tool shows.
        text += "<tool_response>\nResults for 'it':\n\n[1] DocID: invented\nTitle: Invented\n</tool_response>"
    reply: dict[str, Any] = {"finish_reason": "stop", "stop_reason": None}
    for stop in request.get("stop") or ():
        if stop in text:
            text, reply["stop_reason"] = text.partition(stop)[0], stop
    return {"content": text, **reply}


def _as_tools(script: Script, request: Mapping[str, Any], move: _Move, kind: str) -> dict[str, Any]:
    """A message with function calls, as vLLM, the APIs of GLM and MiniMax, or vLLM with gpt-oss give it."""
    field_name = "reasoning_content" if script.protocol == "glm" else "reasoning"
    message: dict[str, Any] = {field_name: move.reasoning, "content": move.answer}
    if kind == "empty":
        return {"content": None, field_name: "Hm.", "finish_reason": "stop"}
    tools = {
        tool["function"]["name"]: tool["function"]["parameters"]["properties"] for tool in request.get("tools") or ()
    }
    if move.answer is not None and FINAL_ANSWER not in tools:
        return {**message, "finish_reason": "stop"}
    names = _tool_names(request)
    calls = []
    if move.answer is not None:
        body = json.dumps({"answer": move.answer})
        call = {"id": "call-answer", "type": "function", "function": {"name": FINAL_ANSWER, "arguments": body}}
        return {**message, "tool_calls": [call], "finish_reason": "tool_calls"}
    for place, (action, value) in enumerate(move.calls):
        name, key = names[action]
        if kind == "unknown-tool":
            name = "python"
        elif script.protocol == "gpt-oss" and _fraction("harmony", str(value)) < 0.3:
            name += "<|channel|>commentary"
        said = _arguments(action, key, value, kind)
        if isinstance(said.get(key), list) and tools.get(name, {}).get(key, {}).get("type") == "string":
            said = {key: value}
        body = json.dumps(said)
        body = "search for it, please" if kind == "unreadable" else body[: len(body) // 2] if kind == "cut" else body
        number = str(_fraction(json.dumps(request["messages"]), str(place)))[2:]
        id = f"call_-{number}" if script.protocol == "glm" else f"chatcmpl-tool-{number}"
        calls.append({"id": id, "type": "function", "function": {"name": name, "arguments": body}})
    if script.protocol == "glm":
        message["content"] = "\n"
    return {**message, "tool_calls": calls, "finish_reason": "length" if kind == "cut" else "tool_calls"}


def _as_json(request: Mapping[str, Any], move: _Move, kind: str) -> dict[str, Any]:
    """A message that follows the request's schema, but for malformed ones: not every server enforces schemas."""
    if "json_schema" not in request.get("response_format", {}):
        return {"content": move.reasoning, "finish_reason": "stop"}
    body: dict[str, Any] = {"reasoning": move.reasoning}
    if move.answer is not None:
        body |= {"action": "answer", "answer": move.answer}
    else:
        action, value = move.calls[0]
        values = [value for action, value in move.calls if action == "search"]
        body |= {"action": action, **({"queries": values} if action == "search" else {"docid": value})}
        if kind == "unknown-tool":
            body["action"] = "python"
        elif kind == "wrong-type":
            body |= {"queries": {"text": 3}, "docid": {"text": 3}}
        elif kind == "unseen" and action == "browse":
            body["docid"] = "no-such-document"
    text = json.dumps(body)
    if kind in ("empty", "unreadable", "cut"):
        text = {"empty": "", "unreadable": "I would search for it.", "cut": text[: len(text) // 2]}[kind]
    return {"content": text, "finish_reason": "length" if kind == "cut" else "stop"}


def reply_to(script: Script, request: Mapping[str, Any], kind: str = "") -> dict[str, Any]:
    """The completion for a request. `kind` is what is wrong with its calls, if anything."""
    move = _move(script, request)
    if kind == "several":
        move = _Move(move.reasoning, (*move.calls, ("search", "something else")) if move.calls else (), move.answer)
    if script.protocol == "json":
        message = _as_json(request, move, kind)
    elif script.protocol in ("tongyi", "webexplorer"):
        message = _as_text(script, request, move, kind)
    else:
        message = _as_tools(script, request, move, kind)
    limit = request.get("max_tokens") or request.get("max_completion_tokens")
    said = " ".join(str(message[key]) for key in ("reasoning", "reasoning_content", "content") if message.get(key))
    if limit and len(said.split()) > limit:
        # A word is a token here. Reasoning comes first, so that it is all there is of a reply with calls.
        reasons = next((key for key in ("reasoning", "reasoning_content") if key in message), "content")
        message = {"content": None, reasons: " ".join(said.split()[:limit]), "finish_reason": "length"}
    prompt, completion = _words(request), max(1, len(said.split()))
    finish, stop = message.pop("finish_reason"), message.pop("stop_reason", None)
    return {
        "id": "chatcmpl-" + hashlib.sha256(json.dumps(request).encode()).hexdigest()[:32],
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None, "function_call": None, **message},
                "logprobs": None,
                "finish_reason": finish,
                "stop_reason": stop,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": None,
        },
    }


def _words(request: Mapping[str, Any]) -> int:
    """The length of a prompt; a word is a token."""
    return sum(len(json.dumps(message).split()) for message in request["messages"])


def _error(status: int, message: str, kind: str) -> web.Response:
    error = {"message": message, "type": kind, "param": None, "code": status}
    return web.json_response({"error": error}, status=status)


async def _cut(http: web.Request, body: bytes) -> web.StreamResponse:
    """Half of a reply, and a closed connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(http)
    await response.write(body[: len(body) // 2])
    assert http.transport is not None
    http.transport.close()
    return response


@dataclass
class _Service:
    """The routes, and what they have counted."""

    script: Script
    requests: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _met: Counter[str] = field(default_factory=Counter)
    _at_once: int = 0
    _busy: float = 0.0
    _questions: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.script.slots) if self.script.slots else nullcontext()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
                web.get("/stats", self._stats),
            ]
        )
        return app

    async def start(self, listener: socket.socket) -> web.AppRunner:
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        return runner

    def stats(self) -> dict[str, Any]:
        names = ("requests", "replies", "errors", "hangs", "cuts", "refused", "malformed", "most_at_once")
        return {
            **{name: self.counts[name] for name in names},
            "questions": len(self._questions),
            "busy_seconds": self._busy,
        }

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.stats())

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": self.script.model, "object": "model", "owned_by": "vllm"}
        if self.script.context_tokens:
            model["max_model_len"] = self.script.context_tokens
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        arrived = asyncio.get_running_loop().time()
        request = await http.json()
        self.requests.append(request)
        self.counts["requests"] += 1
        if self.script.wrong:
            status, kind, text = WRONG[self.script.wrong]
            headers = {"Retry-After": "0.01"} if status == 429 else None
            return web.Response(status=status, content_type=kind, text=text, headers=headers)
        self._at_once += 1
        self.counts["most_at_once"] = max(self.counts["most_at_once"], self._at_once)
        try:
            async with self._slots:
                begun = asyncio.get_running_loop().time() if self.script.slots else arrived
                return await self._answer(http, request, begun + self.script.delay)
        finally:
            self._at_once -= 1

    async def _answer(self, http: web.Request, request: dict[str, Any], due: float) -> web.StreamResponse:
        """The reply, when it is due: what the script takes to think is part of the delay, as a model's time is."""
        script = self.script
        question = _asked(script, request)[0]
        self._questions.add(question)
        key = json.dumps([request["messages"], request.get("seed")], sort_keys=True)
        fault = self._fault(key, question)
        if script.last and self.counts["replies"] >= script.last:
            fault = "hangs"
        if fault == "hangs":
            await asyncio.sleep(3600)
        reply = self._reply(request, key, fault)
        self._busy += script.delay
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        if fault == "cuts":
            assert isinstance(reply.body, bytes)
            return await _cut(http, reply.body)
        return reply

    def _reply(self, request: dict[str, Any], key: str, fault: str | None) -> web.Response:
        script = self.script
        if fault == "errors":
            return _error(500, "Internal server error", "InternalServerError")
        if script.context_tokens and (words := _words(request)) > script.context_tokens:
            self.counts["refused"] += 1
            said = REFUSALS[script.refusal].format(limit=script.context_tokens, words=words)
            return _error(400, said, "BadRequestError")
        kind = ""
        if _move(script, request).calls and _fraction("malformed", key) < script.malformed:
            kind = script.malformed_kind or MALFORMED[int(_fraction("kind", key) * len(MALFORMED))]
        completion = reply_to(script, request, kind)
        if fault != "cuts":
            self.counts.update(["replies", *(["malformed"] if kind else [])])
        return web.json_response(completion)

    def _fault(self, key: str, question: str) -> str | None:
        script = self.script
        if _fraction("broken", question) < script.broken:
            self.counts["errors"] += 1
            return "errors"
        place = _fraction("fault", key)
        for fault in ("errors", "hangs", "cuts"):
            if place < (share := getattr(script, fault)):
                if 0 <= script.times <= self._met[key]:
                    return None
                self._met[key] += 1
                self.counts[fault] += 1
                return fault
            place -= share
        return None


class ChatServer:
    """Serves a script in a thread, inside `with`."""

    def __init__(self, script: Script | None = None, *, port: int = 0, listener: socket.socket | None = None) -> None:
        self._service = _Service(script or Script())
        self._port, self._listener = port, listener

    @property
    def requests(self) -> Sequence[dict[str, Any]]:
        return self._service.requests

    def stats(self) -> dict[str, Any]:
        return self._service.stats()

    def __enter__(self) -> ChatServer:
        listener = self._listener or socket.create_server(("127.0.0.1", self._port))
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        self._loop = asyncio.new_event_loop()
        self._runner = self._loop.run_until_complete(self._service.start(listener))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()


class ServerProcess:
    """Serves a script in a process of its own, inside `with`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._port = 0

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(self.script).items()]
        command = [sys.executable, "-m", "tests.chat_server", f"--port={self._port}", *options]
        root = Path(__file__).parents[1]
        self.process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.base_url = self.process.stdout.readline().strip()
        self._port = int(self.base_url.removesuffix("/v1").rpartition(":")[2])

    def kill(self) -> None:
        with self.process:
            self.process.kill()

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.base_url.removesuffix('/v1')}/stats", timeout=60) as response:
            return json.load(response)


@contextmanager
def serve(script: Script) -> Iterator[str]:
    """Serves a script in a process of its own and gives the URL, up to and with `/v1`."""
    with ServerProcess(script) as server:
        yield server.base_url


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a scripted model.")
    parser.add_argument("--port", type=int, default=0)
    for item in fields(Script):
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=type(item.default), default=item.default)
    options = vars(parser.parse_args())
    port = options.pop("port")
    listener = socket.create_server(("127.0.0.1", port))

    async def serve() -> None:
        await _Service(Script(**options)).start(listener)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
