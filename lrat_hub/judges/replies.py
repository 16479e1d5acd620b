"""What models reply to questions that have a verdict as their answer: thoughts apart from the reply, and its verdict.

Models that judge texts repeat them: a verdict that stands in the notes of an agent turns up in the reply. So only what
is said clearly counts, and what is quoted, crossed out, or in the middle of a sentence does not.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NO_VERDICT = "reply without a verdict"
CONFLICT = "reply with conflicting verdicts"
UNFINISHED = "reply that ends in a thought"

_THOUGHT = r"(?:think|thinking|thoughts?|seed:think|reasoning|scratchpad)"
_BLOCKS = re.compile(
    rf"<({_THOUGHT})>.*?</\1\s*>|\[THINK\].*?\[/THINK\]|◁think▷.*?◁/think▷|<\|START_THINKING\|>.*?<\|END_THINKING\|>"
    r"|<\|channel\|>(?:analysis|commentary)\b[^<]*<\|message\|>.*?(?=<\|channel\|>final|<\|(?:end|start)\|>)"
    r"|<\|channel>thought\b.*?<channel\|>|\Aanalysis.*?assistant\s?final",
    re.DOTALL | re.IGNORECASE,
)
_END = re.compile(
    rf"</{_THOUGHT}\s*>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|channel\|>final[^<]*<\|message\|>|<channel\|>",
    re.IGNORECASE,
)
_START = re.compile(
    rf"<{_THOUGHT}>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|channel\|>(?:analysis|commentary)\b|<\|channel>thought\b",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"<\|[^<>|\s]{1,40}\|>|</s>|<end_of_turn>|<turn\|>", re.IGNORECASE)

_QUOTES = re.compile(
    "“[^”]*”|„[^“”]*[“”]|«[^»]*»|»[^«»]*«|‹[^›]*›|「[^」]*」|『[^』]*』|《[^》]*》|〈[^〉]*〉|〝[^〞〟]*[〞〟]|＂[^＂]*＂"
    "|~~.*?~~|<(s|del|q|blockquote|quote)>.*?</\\1>",
    re.DOTALL | re.IGNORECASE,
)
_MARKUP = re.compile(r"</?(?:b|strong|i|em|u|code|p|answer|response|output|final|result)>|<br\s*/?>", re.IGNORECASE)
_BOXED = re.compile(r"\$*\\boxed\{\s*(?:\\text(?:bf|tt|it)?\{)?([^{}]*)\}?\s*\}\$*")
_OPENS = re.compile("[“„«「『《〈〝]")
_REPORTS = re.compile(
    r"\b(?:says?|said|stat(?:e|es|ed|ing)|contain\w*|reads?|claim\w*|quot\w+|include\w*|writes?|wrote|written"
    r"|ends? with|instruct\w*|asks?|asked|tells?|told|ignor\w*|inject\w*|enth\w+|schreib\w*|steht|sagt|sagen"
    r"|disent|dit|contien\w*|dicen?)\b|写|包含|说|書|述べ|言"
)
_OTHERS = frozenset(("notes", "note", "document", "page", "agent", "text", "they", "it", "example", "like"))
_QUALIFIERS = frozenset(
    ("my", "the", "our", "a", "final", "overall", "so", "thus", "therefore", "hence", "and", "revised", "corrected")
)
_FINAL = frozenset(("final", "overall", "revised", "corrected"))
_LONGEST_VALUE = 4
"""Words of a value that is meant as a verdict: what is longer is a sentence."""


@dataclass(frozen=True)
class Reading:
    """What a reply says.

    Args:
        verdict: One of the labels; None where there is none.
        problem: Why there is none, in words that can be counted; "" where there is one.
    """

    verdict: str | None
    problem: str = ""


@dataclass(frozen=True)
class _Stated:
    """A verdict as it stands in a reply: `label` is None for a word that is no label."""

    label: str | None
    is_final: bool = False


def after_thinking(text: str) -> str | None:
    """What a model said after it thought; None when it was cut off while thinking.

    The opening tag is often missing, as chat templates put it into the prompt. A second closing tag is no end: it is
    said by a model that has done with thinking, about a text that has one.
    """
    if _is_object(text):
        return text
    rest = _BLOCKS.sub("\n", text)
    end = _END.search(rest)
    rest = rest[end.end() :] if end else rest
    return None if _START.search(rest) else rest


def read_verdict(text: str, labels: Mapping[str, tuple[str, ...]], field: str) -> Reading:
    """The verdict in a reply, outside of its thoughts.

    Clear are: a JSON object with the named field that nothing but a label ("Verdict:") stands before and nothing
    behind on its lines, fenced or not; a line of the field's name and a verdict, also as a row or a column of a table;
    and, where there is none of these, a line that is nothing but a verdict. Case, Markdown and the full stop don't
    matter. Not read is what is quoted (in quotation marks of any language, as a block, after "the notes say:"),
    crossed out, an open box of a list, or in the middle of a sentence: "not quite irrelevant" can't be.

    Verdicts that differ are none, unless the last of them is called final.

    Args:
        labels: Each verdict with the words that mean it, in lower case.
        field: Name of the JSON property that holds it.
    """
    reply = after_thinking(text)
    if reply is None:
        return Reading(None, UNFINISHED)
    # As the reply's words are read: NOT_RELEVANT has no underscore there.
    by_word = {_bare(word): label for label, words in labels.items() for word in words}
    explicit, bare = _stated(_TOKENS.sub("", reply), by_word, field.lower())
    if explicit:
        # A list of what could be said has several labels; one that contradicts has one.
        stated = [*explicit, *bare] if len(set(bare)) == 1 else explicit
        finals = [each for each in explicit if each.is_final]
        stated = finals if finals and explicit[-1].is_final else stated
    else:
        stated = bare
    values = {each.label for each in stated}
    if len(values) > 1:
        return Reading(None, CONFLICT)
    verdict = next(iter(values), None)
    return Reading(verdict, "" if verdict else NO_VERDICT)


def unquoted(text: str) -> str:
    """A text without what stands in it in quotation marks, of whatever language, or crossed out."""
    return re.sub(r'(?<!\w)"[^"\n]*"(?!\w)', "", _QUOTES.sub("", text))


def _stated(reply: str, by_word: Mapping[str, str], field: str) -> tuple[list[_Stated], list[_Stated]]:
    """Verdicts that are named, by JSON or by a line, and lines that are nothing but a verdict."""
    text, objects = _with_objects_apart(_BOXED.sub(r"\1", _MARKUP.sub("", reply)), field)
    # A tag of the field's name is a name: <verdict>relevant</verdict>.
    text = re.sub(rf"<{re.escape(field)}>([^<>]*)</{re.escape(field)}>", rf"{field}: \1", text, flags=re.IGNORECASE)
    explicit: list[_Stated] = []
    bare: list[_Stated] = []
    column: int | None = None
    is_quoted = is_introduced = False
    fence: bool | None = None  # inside of one: whether what it holds is quoted
    for line in _QUOTES.sub("“”", text).splitlines():
        if re.fullmatch(r"\s*(?:```|~~~)[\w-]*\s*", line):
            fence, is_introduced = (is_introduced or is_quoted) if fence is None else None, False
            is_quoted = False
            continue
        if not line.strip():
            # A quotation that was never closed ends with its paragraph; what "they say:" introduces begins after it.
            column, is_quoted = None, False
            continue
        is_quoted, is_introduced = is_quoted or is_introduced, False
        if not (is_quoted or fence or re.match(r"\s*(?:>|(?:[-*+]\s*)?(?:\[ ?\]|☐))", line)):
            if line.strip().startswith("|"):
                column = _read_row(line, by_word, field, column, explicit)
            elif numbers := [int(number) for number in re.findall("\x00(\\d+)\x00", line)]:
                before, *behind = re.split("\x00\\d+\x00", line)
                if _is_label(before) and not "".join(behind).strip(" \t`*_.,;()[]"):
                    explicit += [_Stated(by_word.get(_bare(objects[number]))) for number in numbers]
            elif (named := _named(line, by_word, field)) is not None:
                explicit.append(named)
            elif (word := _bare(line)) in by_word:
                bare.append(_Stated(by_word[word]))
            is_introduced = bool(re.search(r"[:：]\W*$", line)) and _introduces(line, field)
        if len(re.findall(r'(?<!\\)"', line)) % 2 or _OPENS.search(line.replace("“”", "")):
            is_quoted = not is_quoted
    return explicit, bare


def _read_row(
    line: str, by_word: Mapping[str, str], field: str, column: int | None, explicit: list[_Stated]
) -> int | None:
    """Reads a row of a table, of a name and a verdict or below a header; gives the column that verdicts stand in."""
    cells = [_bare(cell) for cell in line.strip().strip("|").split("|")]
    if len(cells) == 2 and cells[1] in by_word and (name := _name(cells[0], field)) is not None:
        explicit.append(_Stated(by_word[cells[1]], is_final=bool(_FINAL.intersection(name))))
    elif field in cells:
        return cells.index(field)
    elif column is not None and column < len(cells) and cells[column].strip("-: "):
        explicit.append(_Stated(by_word.get(cells[column])))
    return column


def _named(line: str, by_word: Mapping[str, str], field: str) -> _Stated | None:
    """A verdict out of a line that names it: "**Final verdict:** relevant"; None for any other line."""
    if re.match(r"""\W*["'‘‚][^"'‘’]*[:：][^"'‘’]*["'‘’]\W*$""", line):
        return None
    text = _bare(line)
    match = re.match(rf"(.*?\b{re.escape(field)})\s*(?:is\s*)?(?:[:：=–—]|->|→|⇒|\bis\b)\s*(.+)$", text)
    if match is None:
        return None
    name, value = _name(match[1], field), match[2].strip(" \t.,;!?。，；！[](){}")
    if name is None or (value not in by_word and len(value.split()) > _LONGEST_VALUE):
        return None
    return _Stated(by_word.get(value), is_final=bool(_FINAL.intersection(name)))


def _name(text: str, field: str) -> list[str] | None:
    """The words of a name for the verdict, or None for another's: "the document's verdict"."""
    words = re.sub(r"^\W*(?:\d+[.)])?\W*", "", text).replace(",", " ").split()
    return words if words and words[-1] == field and set(words[:-1]) <= _QUALIFIERS else None


def _is_label(text: str) -> bool:
    """Whether what stands before an object on its line is nothing, or a short label such as "JSON:"."""
    text = _bare(text)
    words = text.rstrip(":：").split()
    return not words or (
        text.endswith((":", "："))
        and len(words) <= _LONGEST_VALUE
        and not _OTHERS.intersection(words)
        and not _REPORTS.search(text)
    )


def _introduces(line: str, field: str) -> bool:
    """Whether a line that ends with a colon introduces what somebody else said."""
    words = _bare(line).rstrip(":：").split()
    is_own = bool({"my", "i"}.intersection(words)) or words[-2:] == [field, "is"]
    return not is_own and bool(_REPORTS.search(" ".join(words)))


def _bare(value: Any) -> str:
    """Lower case and one blank between words, without Markdown, quotes and punctuation around or behind."""
    text = re.sub(r"^\s*(?:[-•*+]\s+)?(?:\[[xX✓✔]\]|[☑✅✔])?\s*", "", str(value))
    text = re.sub(r"[*_`#>\"'‘’]", "", text).lower()
    return " ".join(text.strip(" \t\r\n.,;!。！()[]{}|").split())


def _with_objects_apart(text: str, field: str) -> tuple[str, list[Any]]:
    """A text with a numbered mark in the place of each JSON object that has a field, and the field's values.

    Other objects are taken out: what they hold is no line of the reply. An object that says two things of the field
    has another value than either.
    """
    parts: list[str] = []
    values: list[Any] = []
    last = 0
    for start, end, pairs in _objects(text):
        named = [value for name, value in pairs if str(name).strip().lower() == field]
        parts += [text[last:start], f"\x00{len(values)}\x00" if named else "{}"]
        if named:
            values.append(named[0] if len({_bare(value) for value in named}) == 1 else None)
        last = end
    return "".join([*parts, text[last:]]), values


def _objects(text: str) -> Iterator[tuple[int, int, Sequence[tuple[Any, Any]]]]:
    """Objects in a text, with where they start and end: as JSON, or on one line as Python writes them."""
    decoder, start = json.JSONDecoder(object_pairs_hook=_Pairs, strict=False), 0
    while (start := text.find("{", start)) >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            line = text[start : (text + "\n").index("\n", start)].rstrip(" \t`")
            try:
                value, end = ast.literal_eval(line), start + len(line)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                start += 1
                continue
        pairs = list(value.items()) if isinstance(value, dict) else value if isinstance(value, _Pairs) else []
        yield start, end, pairs
        start = end


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except (ValueError, RecursionError):
        return False


class _Pairs(list[tuple[str, Any]]):
    """An object as JSON wrote it, repeated names included."""
