"""Replies as real servers send them: every model's own format, with and without the server's parsers for it.

Each format names the published template (or parser, or description) that its replies are built after.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from lrat_hub.agents import Answer, Browse, Invalid, Search
from lrat_hub.agents.protocols import CUT, ONE_AT_A_TIME, UNREAD, AgentPrompt, open_protocol
from lrat_hub.llm.chat import Reply, ToolCall

Made = Sequence[tuple[str, dict]]


@dataclass(frozen=True)
class Format:
    """How a model writes.

    Args:
        source: Repository, commit and file of the template.
        calls: Calls as the model writes them after its thought.
        thought: A thought as it writes it, before a call or an answer.
        end: What stands between a thought and the answer.
    """

    source: str
    calls: Callable[[Made], str]
    thought: Callable[[str], str] = "<think>\n{}\n</think>\n\n".format
    end: str = ""

    def __str__(self):
        return self.source


def each(call: Callable[[str, dict], str], start="", end="", between="") -> Callable[[Made], str]:
    return lambda made: start + between.join(call(name, arguments) for name, arguments in made) + end


def tagged(inside: Callable[[str, dict], str]) -> Callable[[Made], str]:
    return each(lambda name, arguments: f"<tool_call>{inside(name, arguments)}</tool_call>", between="\n")


def text_of(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parameters(arguments, form, between="") -> str:
    return between.join(form.format(key, text_of(value)) for key, value in arguments.items())


def hermes(name, arguments):
    return "\n" + json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False) + "\n"


def coder(name, arguments):
    return f"\n<function={name}>\n{parameters(arguments, PARAMETER)}</function>\n"


PARAM = '<param name="{}">{}</param>'
PARAMETER = "<parameter={}>\n{}\n</parameter>\n"
GLM_ARGUMENT = "<arg_key>{}</arg_key>\n<arg_value>{}</arg_value>\n"
GLM_TIGHT = "<arg_key>{}</arg_key><arg_value>{}</arg_value>"
INVOKED = '<parameter name="{}">{}</parameter>\n'
DSML = '<｜DSML｜parameter name="{}" string="true">{}</｜DSML｜parameter>\n'


def harmony(name, arguments):
    return (
        f"<|start|>assistant<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
        f"{json.dumps(arguments)}<|call|>"
    )


def harmony_thought(thought):
    return f"<|channel|>analysis<|message|>{thought}<|end|>"


def python(name, arguments):
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def listed(start="", end="", name_key="name", arguments_key="arguments"):
    return lambda made: start + json.dumps([{name_key: name, arguments_key: given} for name, given in made]) + end


VLLM = "vllm-project/vllm"
PARSER = VLLM + "@{} vllm/entrypoints/openai/tool_parsers/"
SEED = "<parameter={}>{}</parameter>\n"
STEP = '<steptml:parameter name="{}">{}</steptml:parameter>\n'
LLAMA_CPP = "ggml-org/llama.cpp"
FORMATS = {
    "tongyi": Format("Yuqi-Zhou/LRAT@274d0ab search_agent/tongyi_utils/react_agent.py", tagged(hermes)),
    "webexplorer": Format("Yuqi-Zhou/LRAT@274d0ab search_agent/webexplorer_utils/react_agent.py", tagged(hermes)),
    "agentcpm": Format("OpenBMB/AgentCPM@844c007 AgentCPM-Explore/AgentRL/grpo_example.sh", tagged(hermes)),
    "agentcpm, in XML": Format(
        "OpenBMB's functions in XML, whose template is published with its models alone",
        each(lambda name, given: f'<function name="{name}">{parameters(given, PARAM)}</function>'),
    ),
    "qwen3": Format("MiroMindAI/MiroThinker@370f983 assets/qwen3_nonthinking.jinja", tagged(hermes)),
    "qwen3-coder": Format(f"{VLLM}@7a3bde4 examples/tool_chat_template_qwen3coder.jinja", tagged(coder)),
    "glm-4.6": Format(
        f"{LLAMA_CPP}@afefa65 models/templates/GLM-4.6.jinja",
        tagged(lambda name, given: f"{name}\n{parameters(given, GLM_ARGUMENT)}"),
    ),
    "glm-4.7": Format(
        f"{VLLM}@3e990f4 vllm/entrypoints/openai/tool_parsers/glm4_moe_tool_parser.py",
        tagged(lambda name, given: f"{name}{parameters(given, GLM_TIGHT)}"),
    ),
    "minimax-m2": Format(
        f"{LLAMA_CPP}@a21f05a models/templates/unsloth-MiniMax-M2.jinja",
        each(
            lambda name, given: f'<invoke name="{name}">\n{parameters(given, INVOKED)}</invoke>\n',
            "\n<minimax:tool_call>\n",
            "</minimax:tool_call>",
        ),
    ),
    "gpt-oss": Format(
        "openai/harmony@20cd04c docs/format.md",
        each(harmony),
        harmony_thought,
        "<|start|>assistant<|channel|>final<|message|>",
    ),
    "gpt-oss, tokens skipped": Format(
        "openai/harmony@20cd04c docs/format.md",
        each(lambda name, given: f"assistantcommentary to=functions.{name} json{json.dumps(given)}"),
        "analysis{}".format,
        "assistantfinal",
    ),
    "deepseek-v3": Format(
        f"{VLLM}@c6991a3 examples/tool_chat_template_deepseekv3.jinja",
        each(
            lambda name, given: (
                f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{json.dumps(given)}\n```<｜tool▁call▁end｜>"
            ),
            "<｜tool▁calls▁begin｜>",
            "<｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
            "\n",
        ),
    ),
    "deepseek-v3.1": Format(
        f"{VLLM}@fb73c46 examples/tool_chat_template_deepseekv31.jinja",
        each(
            lambda name, given: f"<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{json.dumps(given)}<｜tool▁call▁end｜>",
            "<｜tool▁calls▁begin｜>",
            "<｜tool▁calls▁end｜>",
        ),
    ),
    "deepseek-v3.2": Format(
        f"{LLAMA_CPP}@708653d models/templates/DeepSeek-V3.2.jinja",
        each(
            lambda name, given: f'<｜DSML｜invoke name="{name}">\n{parameters(given, DSML)}</｜DSML｜invoke>\n',
            "\n\n<｜DSML｜function_calls>\n",
            "</｜DSML｜function_calls>",
        ),
    ),
    "kimi-k2": Format(
        f"{LLAMA_CPP}@0c3c896 models/templates/moonshotai-Kimi-K2-Thinking.jinja",
        each(
            lambda name, given: (
                f"<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>{json.dumps(given)}<|tool_call_end|>"
            ),
            "<|tool_calls_section_begin|>",
            "<|tool_calls_section_end|>",
        ),
    ),
    "mistral": Format(
        f"{VLLM}@7d26f48 examples/tool_chat_template_mistral3.jinja",
        lambda made: "[TOOL_CALLS]" + json.dumps(
            [{"name": name, "arguments": given, "id": "a1b2c3d4e"} for name, given in made]
        ),
        "[THINK]{}[/THINK]".format,
    ),
    "mistral, from v11 on": Format(
        f"{VLLM}@a5cdcfa vllm/entrypoints/openai/tool_parsers/mistral_tool_parser.py",
        each(lambda name, given: f"[TOOL_CALLS]{name}[ARGS]{json.dumps(given)}"),
        "[THINK]{}[/THINK]".format,
    ),
    "llama-3.1": Format(
        f"{VLLM}@8a8be3d examples/tool_chat_template_llama3.1_json.jinja",
        lambda made: "<|python_tag|>" + "; ".join(
            json.dumps({"name": name, "parameters": given}) for name, given in made
        ),
    ),
    "llama-3.1, as functions": Format(
        f"{VLLM}@81c59a4 examples/tool_chat_template_llama3.1_usr_def_tool_call.jinja",
        each(lambda name, given: f"<function={name}>{json.dumps(given)}</function>"),
    ),
    "llama-4": Format(
        f"{VLLM}@5a6541d examples/tool_chat_template_llama4_pythonic.jinja",
        lambda made: "[" + ", ".join(python(name, given) for name, given in made) + "]",
    ),
    "granite": Format(f"{PARSER}granite_tool_parser.py".format("1a31143"), listed("<|tool_call|>")),
    "command": Format(
        f"{PARSER}command_tool_parser.py".format("3731a3d"),
        listed("<|START_ACTION|>", "<|END_ACTION|>", "tool_name", "parameters"),
        "<|START_THINKING|>{}<|END_THINKING|>".format,
    ),
    # Its parser takes one call of a message.
    "internlm2": Format(
        f"{PARSER}internlm2_tool_parser.py".format("8d39585"),
        each(lambda name, given: (
            f"<|action_start|><|plugin|>\n{json.dumps({'name': name, 'parameters': given})}<|action_end|>"
        )),
    ),
    "jamba": Format(f"{PARSER}jamba_tool_parser.py".format("4694df5"), listed("<tool_calls>", "</tool_calls>")),
    "minimax": Format(
        f"{PARSER}minimax_tool_parser.py".format("359b8ff"),
        each(
            lambda name, given: json.dumps({"name": name, "arguments": given}),
            "<tool_calls>\n", "\n</tool_calls>", "\n",
        ),
    ),
    "longcat": Format(
        f"{PARSER}longcat_tool_parser.py".format("737189e"),
        each(lambda name, given: (
            f"<longcat_tool_call>{json.dumps({'name': name, 'arguments': given})}</longcat_tool_call>"
        )),
    ),
    "olmo3": Format(
        f"{PARSER}olmo3_tool_parser.py".format("935fb9e"),
        each(python, "<function_calls>\n", "\n</function_calls>", "\n"),
    ),
    "phi4mini": Format(f"{PARSER}phi4mini_tool_parser.py".format("0a426f5"), listed("functools")),
    "apertus": Format(
        f"{PARSER}apertus_tool_parser.py".format("9a9650d"),
        lambda made: f"<|tools_prefix|>{json.dumps([{name: given} for name, given in made])}<|tools_suffix|>",
    ),
    "seed_oss": Format(
        f"{VLLM}@181b452 tests/tool_use/test_seed_oss_tool_parser.py",
        each(lambda name, given: (
            f"<seed:tool_call>\n<function={name}>\n{parameters(given, SEED)}</function>\n</seed:tool_call>"
        )),
        "<seed:think>{}</seed:think>".format,
    ),
    "step_deepresearch": Format(
        f"{PARSER}step_deepresearch_tool_parser.py".format("00a1058"),
        each(
            lambda name, given: (
                f'<steptml:invoke name="{name}">\n'
                f"{parameters(given, STEP)}</steptml:invoke>\n"
            ),
            "<steptml:toolcall>\n",
            "</steptml:toolcall>",
        ),
    ),
    "xlam": Format(f"{PARSER}xlam_tool_parser.py".format("a2c5474"), listed()),
    "mirothinker, over MCP": Format(
        "MiroMindAI/MiroThinker@a786a7a apps/lobehub-compatibility/MirothinkerToolParser.py",
        each(lambda name, given: (
            f"<use_mcp_tool>\n<server_name>tools</server_name>\n<tool_name>{name}</tool_name>\n"
            f"<arguments>\n{json.dumps(given)}\n</arguments>\n</use_mcp_tool>"
        )),
    ),
}  # fmt: skip
PARSERS = {
    **{
        name: (form.source.partition("@")[2][:7], name)
        for name, form in FORMATS.items()
        if form.source.endswith(f"/{name}_tool_parser.py")
    },
    "tongyi": ("836d1f3", "hermes"),
    "webexplorer": ("836d1f3", "hermes"),
    "agentcpm": ("836d1f3", "hermes"),
    "qwen3": ("836d1f3", "hermes"),
    "qwen3-coder": ("1936cf3", "qwen3coder"),
    "glm-4.6": ("3e990f4", "glm4_moe"),
    "glm-4.7": ("3e990f4", "glm4_moe"),
    "minimax-m2": ("03b4483", "minimax_m2"),
    "gpt-oss": ("0558e31", "openai"),
    "deepseek-v3": ("98ba358", "deepseekv3"),
    "deepseek-v3.1": ("9d6a1c3", "deepseekv31"),
    "deepseek-v3.2": ("56cfb01", "deepseekv32"),
    "kimi-k2": ("03d5dc9", "kimi_k2"),
    "mistral": ("a5cdcfa", "mistral"),
    "llama-3.1": ("500932b", "llama"),
    "llama-4": ("fb6c050", "llama4_pythonic"),
    "seed_oss": ("0b2d55a", "seed_oss"),
}
"""Format to the commit and the name of vLLM's parser, vllm/entrypoints/openai/tool_parsers/NAME_tool_parser.py."""

CALL_IDS = {
    "kimi-k2": "functions.{}:{}", "mistral": "Aa1Bb2Cc{1}", "minimax-m2": "call_{1:024x}", "xlam": "call_{1}_{1:032x}"
}  # fmt: skip
"""Identifiers that parsers give; others' are random."""

SINGLE = ("tongyi", "webexplorer", "agentcpm")
"""Protocols that carry out the first call of a message alone."""

BARE = [form for name, form in FORMATS.items() if name.startswith(("llama-4", "gpt-oss", "xlam"))]
"""Formats without text beside a call."""

UNMARKED = (FORMATS["llama-4"], FORMATS["xlam"])
"""Formats without a mark of their own: after other words, they are not told from an answer."""

CALLS = [("search", {"query": 'who wrote "Sea"?'}), ("get_document", {"docid": "7"})]
READ = [Search(None, ('who wrote "Sea"?',)), Browse(None, "7")]

CELLS = [
    pytest.param(form, protocol, id=f"{name}-{protocol}")
    for name, form in FORMATS.items()
    for protocol in ("tools", *SINGLE)
]


def read(protocol: str, reply: Reply):
    return open_protocol(protocol).read(reply, AgentPrompt.load(protocol)).calls


def same(call):
    """A call without its reasoning."""
    return replace(call, reasoning=None)


def expected(protocol: str, count: int):
    return READ[:count] if protocol == "tools" else [READ[0], *[Invalid(None, ONE_AT_A_TIME)] * (count - 1)]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("form", "protocol"), CELLS)
def test_calls_without_the_servers_parser_are_read_with_the_thought_before_them(form, protocol, count):
    text = form.thought("I need the author.") + form.calls(CALLS[:count])
    calls = read(protocol, Reply(text))
    assert [same(call) for call in calls] == expected(protocol, count)
    assert calls[0].reasoning == "I need the author."


@pytest.mark.parametrize(("form", "protocol"), CELLS)
def test_a_reasoning_parser_alone_leaves_the_calls_in_the_text(form, protocol):
    calls = read(protocol, Reply(form.calls(CALLS), reasoning="I need the author."))
    assert [same(call) for call in calls] == expected(protocol, 2)
    assert calls[0].reasoning == "I need the author."


# Calls without any mark can't be told from a thought about them.
@pytest.mark.parametrize(("form", "protocol"), [cell for cell in CELLS if cell.values[0] not in UNMARKED])
def test_a_reasoning_parser_that_finds_no_end_takes_the_calls_for_thoughts(form, protocol):
    calls = read(protocol, Reply("", reasoning=f"I need the author.\n{form.calls(CALLS)}"))
    assert [same(call) for call in calls] == expected(protocol, 2)
    assert calls[0].reasoning.strip() == "I need the author."


@pytest.mark.parametrize(("form", "protocol"), [cell for cell in CELLS if cell.values[0] not in BARE])
def test_what_is_said_before_a_call_is_reasoning_too(form, protocol):
    calls = read(protocol, Reply(f"{form.thought('A thought.')}I look.\n{form.calls(CALLS[:1])}"))
    assert [same(call) for call in calls] == READ[:1]
    assert calls[0].reasoning == "A thought.\nI look."


@pytest.mark.parametrize(("form", "protocol"), CELLS)
def test_a_reply_that_is_cut_in_a_call_is_no_answer(form, protocol):
    text = form.thought("I need the author.") + form.calls(CALLS[:1])
    where = text.index("wrote") + 3
    for reason, error in (("length", CUT), ("stop", None)):
        (call,) = read(protocol, Reply(text[:where], finish_reason=reason))
        assert isinstance(call, Invalid), call
        assert error is None or call.error == error or "complete" in call.error


@pytest.mark.parametrize(("form", "protocol"), CELLS)
def test_an_answer_after_a_thought_is_one(form, protocol):
    answer = "It is Ann." if protocol != "tongyi" else "<answer>It is Ann.</answer>"
    (call,) = read(protocol, Reply(f"{form.thought('I know.')}{form.end}{answer}"))
    assert call == Answer("I know.", "It is Ann.")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_server_with_parsers_gives_calls_and_thoughts_in_fields(name, cut):
    functions = [(tool, json.dumps(given)) for tool, given in CALLS]
    if cut:
        functions[1] = (functions[1][0], functions[1][1][:-3])
    made = tuple(ToolCall(f"call-{place}", *function) for place, function in enumerate(functions))
    reply = Reply("I look.", "I need the author.", made, "length" if cut else "tool_calls", reasoning_field=name)
    turn = open_protocol("tools").read(reply, AgentPrompt.load("tools"))
    assert same(turn.calls[0]) == READ[0]
    assert isinstance(turn.calls[1], Invalid) if cut else same(turn.calls[1]) == READ[1]
    assert turn.calls[0].reasoning == "I need the author.\nI look."
    assert turn.message[name] == "I need the author."
    assert all(json.loads(call["function"]["arguments"]) for call in turn.message["tool_calls"])


@pytest.mark.parametrize("where", ["content", "reasoning", "reasoning_content"])
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_of_calls_gives_them_in_fields_with_thoughts_in_theirs_or_left_in_the_text(name, where):
    form, identifier = FORMATS[name], CALL_IDS.get(name, "chatcmpl-tool-{1:032x}")
    made = tuple(
        ToolCall(identifier.format(tool, index), tool, json.dumps(given)) for index, (tool, given) in enumerate(CALLS)
    )
    left = {"content": form.thought("I need the author.")} if where == "content" else {
        "content": "\n\n", "reasoning": "I need the author.", "reasoning_field": where
    }  # fmt: skip
    turn = open_protocol("tools").read(
        Reply(**left, tool_calls=made, finish_reason="tool_calls"), AgentPrompt.load("tools")
    )
    assert [same(call) for call in turn.calls] == READ
    assert turn.calls[0].reasoning == "I need the author."
    # The next request gives the calls back by the server's own identifiers.
    assert [call["id"] for call in turn.message["tool_calls"]] == [call.id for call in made]


def test_every_format_names_its_source_and_every_model_has_all_cells():
    undated = {
        name for name, form in FORMATS.items() if not re.search(r"^[\w.-]+/[\w.-]+@[0-9a-f]{7} \S+$", str(form))
    }
    assert undated == {"agentcpm, in XML"}
    assert PARSERS.keys() == {name for name in FORMATS if ", " not in name}
    agents = {"agentcpm", "webexplorer", "tongyi", "gpt-oss", "minimax-m2", "glm-4.7"}
    assert agents | {"qwen3", "deepseek-v3", "kimi-k2", "mistral", "llama-4"} <= PARSERS.keys()


@pytest.mark.parametrize("reason", ["length", "tool_calls", "stop"])
def test_a_call_that_was_cut_and_that_a_parser_dropped_is_no_answer(reason):
    """Kimi's parser gives a message of complete calls alone: without any, nothing is left of it."""
    (call,) = read("tools", Reply("", reasoning="I need the author.", finish_reason=reason))
    assert isinstance(call, Invalid), call
    assert reason != "length" or call.error == CUT


@pytest.mark.parametrize(("form", "protocol"), CELLS)
def test_thoughts_between_calls_and_after_them_hide_none(form, protocol):
    # A message that follows another begins with its role.
    role = "assistant" if form is FORMATS["gpt-oss, tokens skipped"] else ""
    first, second = (form.calls([call]) for call in CALLS)
    a, b, c = form.thought("a"), role + form.thought("b"), role + form.thought("c")
    calls = read(protocol, Reply(a + first + b + second + c))
    assert [same(one) for one in calls] == expected(protocol, 2)
    assert calls[0].reasoning.split() == ["a", "b", "c"]


# A mark of gpt-oss is a token that ends its thought.
@pytest.mark.parametrize(("form", "protocol"), [cell for cell in CELLS if "harmony" not in str(cell.values[0])])
def test_a_call_that_a_thought_quotes_is_not_carried_out(form, protocol):
    """As Seed-OSS does in the test of vLLM's parser for it."""
    thought = form.thought(f"The format is {form.calls(CALLS[:1])}. I open it.")
    assert [same(one) for one in read(protocol, Reply(thought + form.calls(CALLS[1:])))] == READ[1:]


@pytest.mark.parametrize("protocol", ["tools", "tongyi"])
def test_a_thought_in_an_answer_is_no_part_of_it(protocol):
    (call,) = read(protocol, Reply("<answer><think>x</think>42</answer>"))
    assert same(call) == Answer(None, "42")


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ('{"query": "a"}', Search(None, ("a",))),
        ('{"docid": "7"}', Browse(None, "7")),
        ('{"name": "search", "parameters": {"query": "a"}}', Search(None, ("a",))),
        ('{"answer": "a"}', Answer(None, '{"answer": "a"}')),
        ("[1] says so.", Answer(None, "[1] says so.")),
        ("I called search(query='a').", Answer(None, "I called search(query='a').")),
        ("<|python_tag|>print(1 + 1)", Invalid(None, UNREAD)),
        ("[TOOL_CALLS]", Invalid(None, UNREAD)),
        ('[TOOL_CALLS]search{"query": "a"}', Search(None, ("a",))),
        # PeterGriffinJin/Search-R1@8b416d2 search_r1/llm_agent/generation.py
        ("<think>So.</think><search> a </search>", Search(None, ("a",))),
        ('```json\n{"name": "search", "arguments": {"query": "a"}}\n```', Search(None, ("a",))),
        ('```tool_code\nsearch(query="a")\n```', Search(None, ("a",))),
        ('<|tool_call_start|>[search(query="a")]<|tool_call_end|>', Search(None, ("a",))),
        ('<TOOLCALL>[{"name": "search", "arguments": {"query": "a"}}]</TOOLCALL>', Search(None, ("a",))),
        ('<tool_call>[{"name": "search", "arguments": {"query": "a"}}]', Search(None, ("a",))),
        (
            '<tool_call><tool_call>{"name": "search", "arguments": {"query": "a"}}</tool_call></tool_call>',
            Search(None, ("a",)),
        ),
        ('<|channel|>commentary to=browser.search code<|message|>{"query": "a"}<|call|>', Search(None, ("a",))),
        ("<response>\nIt is a.\n</response>", Answer(None, "It is a.")),
        ("[[1, 2], [3, 4]]", Answer(None, "[[1, 2], [3, 4]]")),
        (
            "He wrote `functools` and called tool_calls by name.",
            Answer(None, "He wrote `functools` and called tool_calls by name."),
        ),
        ("<function_calls>\nsearch(query=\n</function_calls>", Invalid(None, UNREAD)),
        # vllm-project/vllm@935fb9e vllm/entrypoints/openai/tool_parsers/olmo3_tool_parser.py
        ('<function_calls>\nsearch(query="a", page=null)\n</function_calls>', Search(None, ("a",))),
        ("<start_function_call>call:search{query:<escape>a<escape>}<end_function_call>", Invalid(None, UNREAD)),
        ("I look. <|begin_search_query|>a<|end_search_query|>", Invalid(None, UNREAD)),
        ("Thought: I look.\nAction: search\nAction Input: a", Invalid(None, UNREAD)),
        ('>>>search\n{"query": "a"}', Invalid(None, UNREAD)),
        ('{"tool_calls": [{"name": "search", "arguments": {"query": "a"}}]}', Invalid(None, UNREAD)),
        ('<invoke name="search">', Invalid(None, UNREAD)),
    ],
)
def test_a_message_that_is_only_a_call_is_one_and_marks_of_calls_are_no_answer(said, read_as):
    (call,) = read("tools", Reply(said))
    assert same(call) == read_as


@pytest.mark.parametrize(
    "body",
    [
        '{name: "search", arguments: {query: ["a"]}}',
        '{"name": "search", "arguments": {"query": ["a",],},}',
        "{'name': 'search', // the tool\n 'arguments': {'query': 'a'}}",
        '{"name": "search", /* so */ "arguments": {"query": "a"}}',
    ],
)
def test_calls_are_read_as_loosely_as_the_authors_code_reads_them(body):
    (call,) = read("tongyi", Reply(f"<tool_call>{body}</tool_call>"))
    assert same(call) == Search(None, ("a",))
