"""Texts of others in prompts: nothing in them ends a section, opens a turn of the conversation or calls a tool.

Servers tokenize a conversation as one text, and read a chat template's tokens wherever they stand: `<|im_end|>` in a
web page ends the message that shows it. Such a mark is escaped by its first character, as in HTML (`&lt;|im_end|>`),
which leaves the page readable. Every other text stays as it is, to the character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

MESSAGE_TAGS = ("think", "thinking", "tool_call", "tool_response", "tools", "answer")
"""Tags by which agents' models tell thoughts, calls and results apart, whatever their prompt says."""

_FILLER = r"[\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*"
"""Blanks, and characters that nobody sees: models read past both."""

_TOKENS = (
    r"<[|｜][^<>\s]{1,60}>",  # ChatML, Llama 3, harmony, DeepSeek, GLM, Phi, Cohere; Gemma 4 has `<|turn>`
    r"<[^<>|｜\s]{1,40}[|｜]>",
    r"<</?SYS>>",
    r"</?seed:[a-z_]+>",
    r"\]<\][a-z_:-]+\[>\[",  # MiniMax-Text
    r"\]~[!b]?b?[\]\[]",  # MiniMax-M: `]~b]`, `]~!b[`
    r"\[e~\[",
    r"[◁⟨]/?[|｜]?think(?:ing)?[|｜]?[▷⟩]",
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|MODEL_SETTINGS|gMASK|sMASK"
    r"|PAD|UNK|BOS|EOS|EOT)\]",
    r"</?(?:s|bos|eos|pad|unk|sop|eop|eod|start_of_turn|end_of_turn|start_function_call|end_function_call"
    r"|extra_id_\d+|unused\d+)>",
    r"</?(?:end_of_utterance|start_of_image|end_of_image|image_soft_token|reserved_special_token_\d+)>",
)
_TOKEN = re.compile("|".join(_TOKENS), re.IGNORECASE)

_ESCAPES = {
    "<": "&lt;",
    "＜": "&lt;",
    "[": "&#91;",
    "]": "&#93;",
    "◁": "&#9665;",
    "⟨": "&#10216;",
}
_TAG_NAME = re.compile(r"</?([A-Za-z_][\w:-]*)>")


def tags_in(*texts: str) -> frozenset[str]:
    """Names of the tags that a prompt's own texts have, in lower case: those that mark its sections."""
    return frozenset(name.lower() for text in texts for name in _TAG_NAME.findall(text))


def isolated(text: str, tags: Iterable[str] = MESSAGE_TAGS) -> str:
    """A text as it can stand in a message: without marks that a model or its server takes for the prompt's own.

    Args:
        tags: Names of the tags that mean something in the prompt; opening and closing ones are escaped, in any case,
            also with attributes, blanks or invisible characters within.
    """
    pattern = _tag_pattern(frozenset(tags))
    return _TOKEN.sub(_escaped, pattern.sub(_escaped, text) if pattern else text)


def _escaped(match: re.Match[str]) -> str:
    mark = match[0]
    return _ESCAPES[mark[0]] + mark[1:]


@lru_cache(maxsize=64)
def _tag_pattern(tags: frozenset[str]) -> re.Pattern[str] | None:
    if not tags:
        return None
    # Written apart, "n o t e s" is no tag; invisible characters between letters are.
    unseen = r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*"
    names = "|".join(unseen.join(map(re.escape, name)) for name in sorted(tags))
    return re.compile(rf"[<＜]{_FILLER}[/／]?{_FILLER}(?:{names})(?![\w:-])[^<>＜＞]{{0,200}}[>＞]", re.IGNORECASE)
