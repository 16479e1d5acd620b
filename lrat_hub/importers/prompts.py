"""Questions without the prompts around them, and what users say that is no question."""

from __future__ import annotations

import re

_GREETING = re.compile(
    r"(?:hi|hello|hey|hallo|hola|bonjour|ciao|good (?:morning|afternoon|evening)|你好|您好|嗨|こんにちは|안녕하세요)"
    r"(?:[ ,]+(?:there|all|everyone|assistant))?[\s!.,~！。]*",
    re.IGNORECASE,
)

# Prompts of search agents put the question last, behind a word that says that it is one.
_PROMPTED = re.compile(
    r"(?:^|\n|[.!?>] |[。！？；：])\s*(?:\*\*|[【\[#]+\s*)?"
    r"(?P<label>User|Question|Query|Task|(?:用户|我的)?(?:问题|提问)|用户|任务|質問|질문)"
    r"(?:\*\*|[】\]])?(?:[:：]|(?<=】))(?:\*\*)?\s*(?P<question>\S[^\n]*(?:\n(?!\n)[^\n]+)*)\s*"
)
_INSTRUCTIONS_AFTER = re.compile(
    r"(?:your (?:response|answer|final)|please|answer:|you (?:must|should)|think step"
    r"|请|你(?:的|必须|应该|需要)|回答|答案|答[:：]|注意|回答してください|답변)",
    re.IGNORECASE,
)
# MiroFlow puts what is to be done behind the question.
_TASK_AFTER = re.compile(r"\A(?P<question>[^\n]+(?:\n(?!\n)[^\n]+)*)\n\nYour task is to ")
# So do scripts for BrowseComp with the form of the answer.
_FORM_AFTER = re.compile(
    r"\n\s*Your (?:final )?(?:response|answer) (?:should|must) be in the following (?:format|form)\b"
)
# Every day has another.
_DATE_BEFORE = re.compile(
    r"\A\s*(?:(?:the )?(?:current|today['’]?s?) (?:date|time|datetime|date and time)(?: is)?|"
    r"today is|当前(?:日期|时间))"
    r"\s*[:：]?[^\n]{4,60}\n+(?:(?:Question|Query|问题)[:：]\s*)?(?=\S)",
    re.IGNORECASE,
)
_LONG_PROMPT = 200

# Of searches for a pattern, the first alternative counts at the begin of a text alone.
_NUDGE = re.compile(
    r"\A\s*(?:<|(?:please,?\s+)?(?:continue|go on|carry on|proceed|keep going|try again|ok(?:ay)?|"
    r"yes|no|thanks|thank you)\b|(?:请)?继续|好的|谢谢)|<answer>|\btool calls?\b|\bfinal answer\b|\bformat\b",
    re.IGNORECASE,
)


def without_prompt(text: str) -> str:
    """The question in a long prompt that ends or begins with it, or the text without a date and the answer's form."""
    if (date := _DATE_BEFORE.match(text)) is not None:
        text = text[date.end() :]
    if (form := _FORM_AFTER.search(text)) is not None and (asked := text[: form.start()].strip()):
        labels = list(_PROMPTED.finditer(asked)) if len(text) >= _LONG_PROMPT else []
        return asked[labels[-1].start("question") :].strip() if labels else asked
    for match in reversed(list(_PROMPTED.finditer(text))):
        # Chinese says in fewer characters what a prompt says.
        if match["label"].isascii() and len(text) < _LONG_PROMPT and "<" not in text:
            continue
        after = text[match.end() :].strip()
        if (match.start() or not match["label"].isascii()) and (not after or _INSTRUCTIONS_AFTER.match(after)):
            question = match["question"].strip()
            first, _, rest = question.partition("\n")
            return first.strip() if rest and _INSTRUCTIONS_AFTER.match(rest.strip()) else question
    before = _TASK_AFTER.match(text) if len(text) >= _LONG_PROMPT else None
    return before["question"].strip() if before else text


def is_nudge(text: str) -> bool:
    """Whether what a user writes to an agent that has stopped is no question, but to go on."""
    return _NUDGE.search(text) is not None


def is_greeting(text: str) -> bool:
    """Whether a text only greets, so that the question is still to come."""
    return _GREETING.fullmatch(text.strip()) is not None
