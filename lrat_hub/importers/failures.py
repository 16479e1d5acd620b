"""What tools show when they fail, told from documents that only speak of failures.

A text is a failure by how it begins, and only when it is short or the whole of its first line says so: a page about
the status 404 is a page. Data is a failure by its keys, and only when it holds no content beside the error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lrat_hub.importers.mapped_patterns import TextPattern
from lrat_hub.importers.rows import texts_of_parts, value_of
from lrat_hub.importers.values import integer_of, object_of, text_of

SHORT = 700
"""Characters up to which a text that begins as a failure is one."""

_TAG = (
    r"\s*(?:[\[(<][\w ./-]{1,40}[\])>]:?\s*|[\[(<](?=[a-z ]{1,40}\b)|[❌⚠️🚫✗×]+\s*){0,3}"
    r"\**(?:warning|error|err\b|message|note|result|exception)?\**:?\s*"
)
_STATUS = r"(?:4(?:0\d|1[0-8]|2[0-9]|3[01]|51|99)|5(?:0\d|1[01]|2[0-9]|30|98|99))"
_REASON = (
    r"(?:bad request|unauthori[sz]ed|payment required|forbidden|(?:file or directory |page )?not found|gone|conflict|"
    r"method not allowed|not acceptable|request timeout|too many requests|unavailable for legal reasons|"
    r"internal server error|not implemented|bad gateway|service (?:temporarily )?unavailable|gateway time-?out|"
    r"access denied|error)"
)
# A page may be about what shares its name with a failure: "404 Not Found is the title of an album."
_NO_TITLE_OF = (
    r"(?!['\"’”)\]]*,? ?\(?\b(?:is|was|are|were|has|had|may refer|refers|can refer|means|describes|album|film|movie|"
    r"song|novel|band|book|series|episode|game|by [A-Z])\b)"
)
_VERB = (
    r"(?:fetch|read|load|access|retriev|open|visit|scrap|get|download|pars|process|extract|connect|render|navigat|"
    r"resolv|crawl|brows|summari[sz]|reach|find|locat|view|display|execut|call|complet|perform|obtain|convert)"
    r"(?:e|ing|ed|d|s)?"
)
_THING = (
    r"(?:(?:web|requested|provided|target|specified|remote) ?)*(?:page|url|site|contents?|documents?|file|resource|"
    r"link|"
    r"address|server|host|data|article|pdf|information|request|tool|text|response|connection|browser)s?"
)
_DETERMINER = r"(?:the|a|an|this|that|any|your|its)"
# The end of what is said: the text, the line or the sentence; or what a program adds to it.
_END = (
    r"(?:[\s.!'\"\])]*$|</|[ .!]*\n|[.!] |\s*[:;(\[|–—-] ?|, | (?:for|from|at|of|in|with|because|due|after|on|by|"
    r"to|as|and|"
    r"while|id) \S)"
)
_STOP = (
    r"(?:[\s.!'\"\])]*$|\s*\((?:http|status|error|code)[ :]*\d{3}\)[ .!]*$|</"
    r"|[ .!]*\n|[.!] (?:please|try|the server|you|if|it|check|this)\b)"
)

_LINES = (
    r"No results (?:were )?found for (?:query:? ?)?['\"].*",
    r"Search error for query.*",
    r"Document not found\]?.*",
    r"Error (?:retrieving|fetching|executing|calling|accessing|reading|loading|scraping|visiting|browsing|processing|"
    r"downloading|opening|in tool|running|invoking|performing|searching)\b.*",
    r"Invalid request format.*",
    r"Error: (?:Tool|MCP|HTTP|Request|Timeout|Connection|Invalid|Unable|Failed|Could not|Cannot|\d{3})\b.*",
    r"HTTP ?(?:Error|Status(?: Code)?|Status Error|"
    r"/\d(?:\.\d)?)?[ :=]*" + _STATUS + r"\b(?:[ :,-]+" + _REASON + _NO_TITLE_OF + r".*)?",
    r"(?:\w+\.)*\w*(?:HTTP|Timeout|Connection|SSL|URL|Proxy|Request|ClientResponse)\w*(?:Error|Exception)(?:[:( ].*)?",
    _STATUS + r" (?:client|server) error\b" + _NO_TITLE_OF + r".*",
    r"Target URL returned error:? " + _STATUS + r".*",
    r"(?:failed to|could ?n[o']t|cannot|can't|unable to) " + _VERB + r"\b.{0,40}?(?:https?://|: ?" + _STATUS + r").*",
    r"MCP error -?\d+.*",
    r"McpError\b.*",
    r"tool_use_error>.*",
    r"net::ERR_\w+.*",
    r"REDIRECT DETECTED: The URL redirects to a different host\..*",
    r"Error during (?:\w+ ){0,3}(?:fetch|request|search|execution|processing|navigation|scraping|crawling)\b.*",
    r"Error code: " + _STATUS + r" - \{.*",
    r"The site'?s robots\.txt .{0,300}\bautonomous fetching of this page is not allowed\b.*",
    r"When fetching robots\.txt .{0,300}\bautonomous fetching is not allowed\b.*",
    r"Error:? [^.\n]{0,60}\bstatus(?: code)?[ :=]{1,3}" + _STATUS + r"\b.*",
    r"HTTPS?ConnectionPool\(.*",
    r"(?:page\.goto|browserType\.launch): .*",
)
"""Whole first lines, whatever follows: nobody writes a document that begins so."""

_BEGINNINGS = (
    # Errors by their name
    r"(?:error|exception)s?\s*[:!](?! an? )",
    r"an (?:unexpected |unknown |internal )?error (?:has )?occurred",
    r"(?:unknown|unexpected|internal|network|connection|server|fetch|http|ssl|dns|proxy|tool|api|search|request|"
    r"validation|execution|parsing|timeout|runtime) error" + _END,
    r"(?-i:\w[\w.]{0,80}(?:Error|Exception|Timeout)\b)\s*(?:[:(]|$)",
    r"traceback \(most recent call last\)",
    # Statuses of HTTP
    r"(?:(?:http|status(?: code)?|error(?: code)?|code)[ :=#(]*)+" + _STATUS + r"\b[)\]]?(?: (?:client|server) error)?"
    r"(?:[ :,.|–—-]*" + _REASON + r")?" + _STOP,
    _STATUS + r"(?: ?[ :,.|–—-] ?" + _REASON + _NO_TITLE_OF + r"[^\n]{0,300})?\s*(?:$|\n)",
    r"(?:(?:the )?(?:request|fetch|call|server|page|url|crawl|search|tool|site|website|api)\b).{0,60}?"
    r"(?:returned|responded|failed|status)\D{0,30}" + _STATUS + r"\b",
    _REASON.replace("|error)", "|permission denied|access is denied)") + r"(?:[ .!]*(?:$|\n)|: (?:https?:|\d|"
    r"the (?:server|page|requested|request|url|site|resource|website|document|file|access)\b|"
    r"you (?:don't|do not|are not|need|must|have no|cannot|can't)\b|$))",
    # What was asked for could not be done
    r"(?:request|fetch|call|crawl|visit|query|search|tool|scrap\w*|navigation|connection|download|extraction|"
    r"page load|"
    r"tool call|tool execution|operation)\b(?: \S+){0,2}? (?:failed|errored)" + _END,
    r"(?:failed|failure) (?:to|in|while|when|at) "
    + _VERB
    + r"(?: (?:"
    + _DETERMINER
    + r" )?(?:\S+ ){0,2}?"
    + _THING
    + r"\b|\s*(?:$|[:.!(]|from\b|https?:|'|\"))",
    r"(?:(?:i|we|sorry, i|(?:the )?(?:tool|browser|system)) )?(?:could ?n[o']t|cannot|can't|can not|(?:am |was |"
    r"were )?unable to)"
    r" (?:be )?" + _VERB + r"(?: (?:to )?(?:" + _DETERMINER + r" )?(?:\S+ ){0,2}?" + _THING + r"\b(?! of\b)|"
    r"\s*(?:$|[:.!(]|from\b|https?:|'|\"))",
    r"(?:sorry,? (?:but )?)?(?:" + _DETERMINER + r" )?(?:\S+ )?" + _THING + r"(?: at \S+| \S+://\S+)? (?:could not|"
    r"couldn't|cannot|"
    r"can't|can not|was not able to) be \w+" + _STOP,
    r"(?:sorry,? (?:but )?)?(?:" + _DETERMINER + r" )?(?:\S+ )?" + _THING + r"(?: at \S+| \S+://\S+|"
    r" with (?:doc)?id \S+| '[^']{1,200}'"
    r"| \"[^\"]{1,200}\"| \S+)? (?:you (?:are|were) looking for |you requested )?(?:(?:was|is|were|are|has been|"
    r"does|did|do)"
    r"(?: not|n't)|is no longer|has been (?:removed|deleted)|not) ?(?:be )?(?:found|available|exist|accessible|"
    r"reachable|"
    r"supported|valid)?(?: on this (?:server|site|website)| in the (?:corpus|index))?" + _STOP,
    r"(?:sorry,? )?(?:" + _DETERMINER + r" )?page (?:isn't|is not|isn’t) (?:available|working)",
    r"(?:oops|whoops|sorry|uh[- ]?oh)\b.{0,80}?(?:not found|can't be found|can't find|cannot be found|doesn't exist|"
    r"went wrong|could not|couldn't|unavailable)",
    r"no (?:such |readable |main |valid |relevant )*(?:results?|" + _THING + r"|body)"
    r"(?: (?:was|were|could be))?(?: (?:found|available|extracted|returned|retrieved|with (?:doc)?id))" + _END,
    r"no (?:such )?" + _THING + _STOP,
    r"(?:empty|blank) (?:" + _THING + r"|result|body)" + _STOP,
    r"(?:unknown|invalid|unsupported|malformed|missing) (?:url|link|docid|document id|doc id|tool|tool name|"
    r"arguments?|"
    r"parameters?|input|content[- ]?type|mime[- ]?type|file type|format|request|api key|response)" + _END,
    r"tool (?:\S{1,60} )?(?:not found|execution failed|call failed|is not available|does not exist|failed|errored)",
    r"failed[ .!]*(?:$|\n)",
    r"(?:none|null|undefined|nan|n/a|empty|unreachable)[\s.)\]>]*$",
    r"(?:host|server|site|page|url) (?:is )?(?:unreachable|down)" + _STOP,
    r"(?-i:[A-Z]{2,20}(?:_[A-Z]{2,20}){0,4}_(?:FAILED|FAILURE|ERROR|TIMEOUT|DENIED|FOUND|UNAVAILABLE|UNREACHABLE|GONE))"
    r"(?:\s*(?:[:(].*)?$)",
    r"<(?P<tag>error|err|failure|fail|exception)>[^<>]{0,300}</(?P=tag)>\s*$",
    # Nobody was let in
    r"access (?:is )?denied[ .!]*(?:$|\n)",
    r"access to (?:this|the) (?:page|site|resource|url|website|server|document)\b.{0,60}?\b(?:denied|blocked|"
    r"forbidden|"
    r"restricted)",
    r"you (?:don't|do not) have (?:permission|access)",
    r"you(?: have|'ve) been blocked",
    r"unable to verify (?:if|whether|that) (?:the )?domain\b",
    r"(?:the |this )?(?:operation|request|fetch|navigation|page load|tool use|tool call) (?:was|has been) "
    r"(?:aborted|cancell?ed|interrupted|rejected)(?:[ .!]*(?:$|\n)|: | due to (?:a )?time|"
    r" by (?:the )?(?:user|client)\b)",
    r"request (?:interrupted|cancell?ed|aborted) by (?:the )?user\b",
    r"the user (?:doesn't|does not) want to (?:proceed|take this action)\b",
    r"claude requested permissions? to \w+",
    r"(?:blocked|disallowed|forbidden|denied|prohibited)\b.{0,40}?\brobots\b",
    r".{0,100}?\brobots\.txt\b.{0,40}?\b(?:disallow|forbid|block|prohibit|prevent|denie)\w*\b.{0,40}?\b(?:fetch|"
    r"access|crawl|"
    r"this|url|page)",
    r".{0,80}?\b(?:disallowed|blocked|forbidden|prohibited|not allowed) by\b.{0,40}?\brobots",
    r"just a moment\s*(?:\.{3}|…)",
    r"attention required!",
    r"(?:please )?(?:enable|turn on) (?:java ?script|js\b|cookies)",
    r"(?:java ?script|cookies) (?:is|are|must be) (?:disabled|required|not enabled|enabled)",
    r"checking (?:if the site connection is secure|your browser)",
    r"(?:please )?(?:verify|confirm|prove|verifying)\b.{0,30}?\b(?:you are|you're)\b.{0,20}?\b(?:human|"
    r"not a (?:ro)?bot)",
    r"are you (?:a )?(?:human|robot)\?",
    r"(?:please )?(?:complete|solve) the (?:captcha|security check|challenge)",
    r"captcha (?:required|detected|challenge|verification|page)",
    r"(?:our systems have detected |we(?:'ve| have) detected )unusual (?:traffic|activity)",
    r"pardon our interruption",
    # Limits
    r"(?:api |the |your )?(?:rate|request|usage|token|daily|monthly)[- ]?(?:limit|quota)s?\b.{0,40}?\b(?:exceeded|"
    r"reached|hit|"
    r"exhausted)",
    r"you(?: have|'ve)? (?:reached|exceeded) (?:the|your) (?:maximum|limit|allowed)",
    r"(?:api )?quota exceeded|insufficient (?:credits?|balance|quota)|you (?:have )?exceeded your",
    r"rate[- ]limited" + _END,
    # Time and the net
    r"(?:\w+ ){0,4}timed out" + _END,
    r"(?:\w+ ){0,3}(?:timeout|time-out)(?: (?:of \d+|\d+ ?m?s\b|after|exceeded|error|while|reached|expired)\b|"
    r", return none|[ .!]*$|: )",
    r"connection (?:refused|reset|aborted|closed|error|broken|timed out)" + _END,
    r"max retries exceeded|maximum retries|name or service not known|getaddrinfo|enotfound|econn\w+|etimedout",
    r"dns (?:resolution|lookup|error|failure)\b.{0,40}?(?:fail|error|$)",
    r"err_[a-z_]+",
)
"""Beginnings of texts that are short."""

_ABROAD = (
    # Chinese, Japanese, Korean
    r"(?:很?抱歉|对不起)?[,，。 ]*(?:错误[:：]|(?:该|此|目标|请求的|您(?:要)?访问的)?"
    r"(?:网页|页面|网站|链接|文档|内容|文件|资源)"
    r"(?:无法|不能|未能|不存在|未找到|找不到|已被?删除|(?:访问|加载|打开)失败)|(?:无法|不能|未能)(?:访问|打开|加载|获取|读取|抓取|解析|连接|找到)"
    r"|(?:访问|加载|抓取|获取|读取|请求|连接|解析)(?:网页|页面|内容)?(?:失败|超时|被拒绝|错误|出错)|网络(?:错误|超时|异常)"
    r"|(?:未找到|找不到)(?:该|此)?(?:网页|页面|内容|文档))",
    r"エラー[:：]|(?:お探しの|指定された|この)?(?:ページ|サイト|コンテンツ)(?:が見つかりません|[はが]存在しません|を表示できません|にアクセスできません)|アクセスが拒否",
    r"오류[:：]|(?:요청하신 |해당 )?페이지를 (?:찾을|표시할|열) 수 없|접근이 거부",
    # German, French, Spanish and Portuguese, Italian, Russian
    r"(?:fehler|erreur|error|erro|errore|ошибка) ?(?:(?:http )?[45]\d\d)? ?[:：](?! ?(?:an?|eine?|un[aeo]?|uma?|il) )",
    r"(?:die )?seite (?:wurde )?nicht gefunden|zugriff verweigert",
    r"page (?:introuvable|non trouvée)|accès (?:refusé|interdit)",
    r"p[aá]gina (?:no|não|non) (?:encontrada|trovata)|(?:acceso|acesso|accesso) (?:denegado|negado|negato)",
    r"страница не найдена|доступ (?:запрещ[её]н|закрыт)",
)
"""Beginnings of short texts in other languages."""
_SHORT_ABROAD = 200

# What scripts put around a failure so that people see it.
_MARKS = re.compile(r"(?:[!*>~=-][!*>~=\s-]*|#+(?=[A-Z]{3}))(?P<inside>[^\n]*?)\s*[!*<~=-]*\Z")
_NOTHING = frozenset({"{}", "(empty)", "[empty]", "<empty>"})

# What tools write above a page that has no title.
_NO_TITLE = re.compile(r"#{1,6} *(?:untitled|no title|none|null|undefined)? *(?:\n\s*|\Z)", re.IGNORECASE)

_LINE = re.compile(_TAG + "(?:" + "|".join(_LINES) + r")\s*", re.IGNORECASE)
_BEGINNING = re.compile(r"(?:#{1,6} )?" + _TAG + "(?:" + "|".join(_BEGINNINGS) + ")", re.IGNORECASE)
_BEGINNING_ABROAD = re.compile(r"(?:#{1,6} )?" + _TAG + "(?:" + "|".join(_ABROAD) + ")", re.IGNORECASE)

# What stands within the form in which a tool shows every page.
# A line is found by the end of the one before it, as a pattern that begins with a character is looked for much faster.
_INSIDE = re.compile(
    r"\n(?:(?:Evidence in page:\s*)?The provided webpage content could not be accessed\."
    r"|Warning: Target URL returned error \d{3}\b"
    r"|Contents of \S+:\s*<error>[^<>]{0,300}</error>\s*\Z"
    r"|Markdown Content:\s*\Z"
    r"|Warning: This page (?:maybe|may be) requiring CAPTCHA"
    r"|(?:Page )?Title:\s*(?:Just a moment\.\.\.|Attention Required! \| Cloudflare|Access Denied|403 Forbidden|"
    r"404 Not Found|Page Not Found)\s*$)",
    re.MULTILINE | re.IGNORECASE,
)
_CONTENT = (
    "content", "contents", "text", "markdown", "html", "data", "body", "results", "extracted_info", "raw_content",
    "page_content", "summary", "output", "document", "documents", "organic", "answer", "hits", "items",
)  # fmt: skip
_EMPTY = frozenset({'""', "''", "[]", "[{}]", "None"})
_PAGES = ("content", "text", "markdown", "html", "body", "raw_content", "page_content")
_NO = {"", "none", "null", "false", "0", "ok", "success", "200"}


def failure_of(observation: str, patterns: Sequence[TextPattern] = ()) -> str | None:
    """Why an action failed, where the observation says so.

    Args:
        patterns: Further signs of a failure; see `LogMapping.failures`.
    """
    text = observation.strip()
    if not text:
        return None
    if any(pattern.search(observation) for pattern in patterns):
        return first_line(text)
    if text.lower() in _NOTHING:
        return text
    if len(text) <= SHORT and (marked := _MARKS.match(text)) and marked["inside"] and failure_of(marked["inside"]):
        return first_line(text)
    if text.startswith(("{", "[")) and (value := value_of(text)) is not None:
        return _failure_in(value)
    if text.startswith("#") and (untitled := _NO_TITLE.match(text)):
        text = text[untitled.end() :]
        if not text:
            return observation.strip()
    line = first_line(text)
    if len(line) <= 2000 and _LINE.fullmatch(line):
        return line
    if len(text) <= SHORT and not _goes_on(text):
        straight = text.replace("’", "'")
        if _BEGINNING.match(straight) or (len(text) <= _SHORT_ABROAD and _BEGINNING_ABROAD.match(straight)):
            return line
    if (inside := _INSIDE.search(f"\n{text[:4000]}")) and (len(text) <= 4000 or "Warning" in inside[0]):
        return inside[0].strip().rpartition("\n")[2]
    return None


def error_of(observation: str, *, failed: bool, patterns: Sequence[TextPattern] = ()) -> str | None:
    """The error of an action: what the tool showed where the log marks the call as failed, or `failure_of`."""
    return (first_line(observation) or "the tool failed") if failed else failure_of(observation, patterns)


def emptiness_of(observation: str) -> str | None:
    """What shows that an opened page is empty: a value without any text where its text should be.

    A log that keeps no pages has nothing at all in their place.
    """
    text = observation.strip()
    if text in _EMPTY:
        return text
    if len(text) > SHORT or not text.startswith("{"):
        return None
    value = object_of(value_of(text))
    blank = [key for key in _PAGES if isinstance(inner := value.get(key), str) and not inner.strip()]
    return f"no {blank[0]}" if blank and not _has_content(value) else None


def first_line(text: str) -> str:
    """The first line of a text that says something."""
    return text.strip().partition("\n")[0].rstrip()


def _goes_on(text: str) -> bool:
    """Whether a text has paragraphs below what may only be its title."""
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if part.strip()]
    return len(paragraphs) > 3


def _failure_in(value: Any) -> str | None:
    if (texts := texts_of_parts(value)) is not None:
        marked = object_of(value).get("isError") is True or object_of(value).get("is_error") is True
        if marked:
            return first_line("\n".join(texts)) or "the tool failed"
        return failure_of(texts[0]) if len(texts) == 1 else None
    if isinstance(value, list):
        # Answers for several things fail when all of them do.
        reasons = [_failure_in(part) if isinstance(part, dict) else None for part in value]
        return reasons[0] if reasons and all(reason is not None for reason in reasons) else None
    if not isinstance(value, dict):
        return None
    if _has_content(value):
        return None
    if any(value.get(key) is False for key in ("success", "ok", "succeeded")) or value.get("isError") is True:
        return _reason_in(value) or "the tool failed"
    if (reason := _reason_in(value)) is not None:
        return reason
    for key in ("failed_results", "statuses"):
        if isinstance(failed := value.get(key), list) and failed:
            return _failure_in(failed[0]) or ("the tool failed" if key == "failed_results" else None)
    for key in ("status", "status_code", "statusCode", "code", "http_status"):
        number = integer_of(value.get(key))
        if number is not None and re.fullmatch(_STATUS, str(number)):
            return first_line(text_of(value.get("message"))) or f"status {number}"
        if str(value.get(key)).lower() in ("error", "failed", "failure", "fail", "timeout"):
            return first_line(text_of(value.get("message") or value.get("detail"))) or f"status {value[key]}"
    return None


def _has_content(value: Mapping[str, Any]) -> bool:
    for key in _CONTENT:
        inner = value.get(key)
        if inner in (None, "", [], {}) or isinstance(inner, bool):
            continue
        if not isinstance(inner, str) or (failure_of(inner) is None and inner.strip().lower() not in _NO):
            return True
    return False


def _reason_in(value: Mapping[str, Any]) -> str | None:
    for key in ("error", "errors", "error_message", "errorMessage", "exception", "error_code", "detail"):
        inner = value.get(key)
        if inner in (None, False, [], {}) or str(inner).strip().lower() in _NO:
            continue
        if key == "detail" and value.keys() - {"detail", "status", "code", "status_code", "title", "type"}:
            continue
        text = object_of(inner).get("message") or object_of(inner).get("type") or inner
        return first_line(text_of(text)) or "the tool failed"
    return None
