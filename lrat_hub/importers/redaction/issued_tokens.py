"""Secrets of known form: issuers give their tokens a prefix, an alphabet and a length.

Prefixes and lengths are as the issuers document them, and as gitleaks/gitleaks@b58d3f10: config/gitleaks.toml
lists them.
"""

from __future__ import annotations

import re
from base64 import b64encode

from lrat_hub.importers.redaction.patterns import NOTHING, Finding, Pattern, Span
from lrat_hub.importers.redaction.token_forms import Issued, Shaped

ALNUM, WORD, HEX = "A-Za-z0-9", "A-Za-z0-9_-", "0-9a-fA-F"
BASE64, DOTTED = "A-Za-z0-9+/=%_-", "A-Za-z0-9_.-"

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_HEX = "0123456789abcdef"
# A bot's token begins with its number in base64.
_NUMBERS = " ".join(sorted({b64encode(str(number).encode())[:3].decode() for number in range(10, 100)}))
_ANY = _LETTERS + _DIGITS + "_-~."


def _issued(name: str, *forms: Issued) -> tuple[Pattern, ...]:
    return (*(Pattern(name, form.prefixes, form) for form in forms),)


def _form(
    prefixes: str, alphabet: str, minimum: int, *, exact: bool = False, weak: bool = False, usual: int = 0
) -> Issued:
    return Issued(tuple(prefixes.split()), alphabet, minimum, exact, weak, usual)


def _shapes(name: str, marks: str, regex: str, *, before: str = "", least: int = 0) -> Pattern:
    return Pattern(name, tuple(marks.split()), Shaped(re.compile(regex), before, least))


_JSON_WEB_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,2048}")
_PART = re.compile(r"\.[A-Za-z0-9_-]*")


def _find_json_web_token(text: str, start: int, end: int) -> Finding:
    header = _JSON_WEB_TOKEN.match(text, end)
    if header is None:
        return NOTHING
    if not text.startswith(".eyJ", header.end()) and not text.startswith("..", header.end()):
        return Finding((), header.end())
    index = header.end()
    for _ in range(4):  # an encrypted one has five parts
        part = _PART.match(text, index)
        if part is None:
            break
        index = part.end()
    if text[index - 1] == "." and text[index - 2] != ".":
        index -= 1
    return Finding((Span(start, index),), index) if index - header.end() >= 12 else Finding((), index)


ISSUED: tuple[Pattern, ...] = (
    *_issued("Hugging Face token", _form("hf_ api_org_", ALNUM, 30), _form("hf_oauth_ hf_jwt_", DOTTED, 30)),
    *_issued("Anthropic key", _form("sk-ant-", WORD, 20, usual=90)),
    *_issued(
        "OpenAI key",
        _form("sk-proj- sk-svcacct- sk-admin- sk-None-", WORD, 20, usual=90),
        _form("sk-or-v1- sk-lf- sk-helicone- sk-litellm-", WORD, 20),
        _form("sk-", ALNUM, 32),
        _form("sk-", WORD, 20, weak=True),
    ),
    *_issued("Groq key", _form("gsk_", ALNUM, 20)),
    *_issued("xAI key", _form("xai-", ALNUM, 20, weak=True)),
    *_issued("Perplexity key", _form("pplx-", ALNUM, 20)),
    *_issued("Replicate token", _form("r8_", ALNUM, 20)),
    *_issued(
        "key of a model service",
        _form("nvapi- csk- pcsk_ rpa_ llx- vllm- ctx7sk- ydc-sk-", WORD, 24),
        _form("fw_ pa- fal-", WORD, 22, weak=True),
        _form("ak- as-", ALNUM, 22, exact=True, weak=True),
        _form("lsv2_pt_ lsv2_sk_ lsv2_ ls__", "A-Za-z0-9_", 20),
        _form("e2b_ dapi wandb_v1_ key-", HEX, 32, weak=True),
        _form("bb_live_ bb_test_ apify_api_ esecret_", WORD, 16),
    ),
    *_issued(
        "search service key",
        _form("tvly-", WORD, 20),
        _form("jina_", "A-Za-z0-9_-", 32),
        _form("fc-", HEX, 32, exact=True, weak=True),
        _form("BSA", WORD, 24, weak=True),
    ),
    *_issued(
        "AWS key",
        _form("AKIA ASIA ABIA ACCA", "A-Z0-9", 16, exact=True),
        _form("ABSK", "A-Za-z0-9+/=", 100),
        _form("bedrock-api-key-", "A-Za-z0-9+/=%", 40),
    ),
    _shapes(
        "AWS secret",
        "ecret_access_key ecret_key ecretAccessKey ECRET_ACCESS_KEY ECRET_KEY",
        r"\w{8,18}(?:\\{0,63}[\"'])?\s{0,8}[:=]\s{0,8}(?:\\{0,63}[\"'])?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    *_issued("AWS session token", _form("FwoGZXIvYXdz IQoJb3JpZ2lu FQoGZXIvYXdz", BASE64, 60, usual=200)),
    *_issued(
        "Google key",
        _form("AIza", WORD, 35),
        _form("ya29.", "A-Za-z0-9_.-", 20, usual=90),
        _form("GOCSPX-", WORD, 24),
        _form("1//0", WORD, 40),
    ),
    _shapes(
        "Azure secret", "Q~", r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,40}", before=_ANY, least=4
    ),
    *_issued(
        "GitHub token", _form("ghp_ gho_ ghu_ ghs_ ghr_", "A-Za-z0-9_", 36), _form("github_pat_", "A-Za-z0-9_", 22)
    ),
    *_issued(
        "GitLab token",
        _form(
            "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas- glffct- GR1348941",
            "A-Za-z0-9_.-",
            20,
        ),
    ),
    *_issued("Bitbucket or Atlassian token", _form("ATATT3 ATCTT3 ATBB", "A-Za-z0-9_=-", 24)),
    *_issued(
        "Slack token", _form("xoxa- xoxb- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xoxc- xoxe. xapp-", "A-Za-z0-9%.-", 10)
    ),
    _shapes(
        "webhook",
        "hooks.slack.com",
        r"hooks\.slack\.com(?:/|\\/|%2[Ff])(?:services|workflows|triggers)(?:/|\\/|%2[Ff])"
        r"(?P<secret>[A-Za-z0-9_]{5,}(?:(?:/|\\/|%2[Ff])[A-Za-z0-9_]{5,}){1,3})",
    ),
    _shapes("webhook", "/api/webhooks/", r"/api/webhooks/\d{10,22}/(?P<secret>[\w-]{40,})"),
    _shapes("webhook", "webhook.office.com", r"webhook\.office\.com/webhookb2/(?P<secret>[\w@/-]{60,})"),
    _shapes("webhook", "/IncomingWebhook/", r"/IncomingWebhook/(?P<secret>[\w/-]{20,})"),
    _shapes("webhook", "hooks.zapier.com", r"hooks\.zapier\.com/hooks/catch/(?P<secret>\d{4,}/\w{5,})"),
    _shapes(
        "Telegram token",
        "0: 1: 2: 3: 4: 5: 6: 7: 8: 9:",
        r"\d{8,10}(?:%3[Aa]|:)[\w-]{34,36}(?![\w-])",
        before=_DIGITS,
        least=8,
    ),
    _shapes(
        "Discord token",
        _NUMBERS,
        r"[MNO][A-Za-z0-9_-]{22,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_-])",
    ),
    _shapes(
        "Stripe key", "k_live_ k_test_ k_prod_", r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{10,}", before="rs", least=1
    ),
    *_issued("Stripe key", _form("whsec_", "A-Za-z0-9+/=", 24)),
    *_issued("npm token", _form("npm_", ALNUM, 36)),
    *_issued("PyPI token", _form("pypi-AgE", WORD, 50, usual=120)),
    *_issued("SendGrid key", _form("SG.", DOTTED, 50)),
    *_issued("DigitalOcean token", _form("dop_v1_ doo_v1_ dor_v1_", HEX, 32)),
    *_issued("Twilio key", _form("SK", HEX, 32, exact=True, weak=True)),
    *_issued("Alibaba key", _form("LTAI", ALNUM, 16, weak=True)),
    *_issued("Tencent key", _form("AKID", ALNUM, 28, weak=True)),
    _shapes(
        "Mailchimp key",
        "-us1 -us2 -us3 -us4 -us5 -us6 -us7 -us8 -us9",
        r"[0-9a-f]{32}-us\d{1,2}(?!\w)",
        before=_HEX,
        least=32,
    ),
    _shapes("Airtable token", "pat", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _shapes("Twitter token", "A" * 21, r"A{21}[A-Za-z0-9]{0,40}%[23][0-9A-F][A-Za-z0-9%]{20,}"),
    *_issued(
        "token of a service",
        _form(
            "lin_api_ lin_oauth_ ntn_ rdme_ pnu_ tfp_ nfp_ phx_ figd_ dckr_pat_ dckr_oat_ CLOJARS_ bkua_",
            "A-Za-z0-9_-",
            24,
        ),
        _form(
            "rubygems_ pul- sbp_ sgp_ shpat_ shpca_ shppa_ shpss_ sntryu_ squ_ sqp_ sqa_ napi_ sb_secret_",
            "A-Za-z0-9_-",
            24,
            weak=True,
        ),
        _form(
            "secret_ PMAK- HRKU- NRAK- NRJS- NRII- CFPAT- CCIPAT_ CCIPRJ_ FLWSECK_ EZAK EZTK AKCp cmVmd oy2",
            WORD,
            24,
            weak=True,
        ),
        _form(
            "sq0atp- sq0csp- EAAA fio-u- ico- tk-us- xkeysib- xsmtpsib- tskey- shippo_live_ shippo_test_",
            WORD,
            20,
            weak=True,
        ),
        _form(
            "duffel_live_ duffel_test_ pscale_tkn_ pscale_pw_ pscale_oauth_ access-sandbox- access-production-",
            "A-Za-z0-9_=.-",
            24,
        ),
        _form("hvs. hvb. hvr.", WORD, 24),
        _form("dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", DOTTED, 32),
        _form("dt0c01. dt0s01.", DOTTED, 40),
        _form("glc_ glsa_ fm1r_ fm1a_ fm2_ fo1_", "A-Za-z0-9+/=_-", 32),
        _form("eyJrIjoi", "A-Za-z0-9+/=", 60),
        _form("sntrys_ ops_eyJ", "A-Za-z0-9+/=_-", 40),
        _form("sha256~", WORD, 43),
        _form("p8e-", ALNUM, 32),
        _form("sl.", WORD, 100, weak=True),
        _form("EAA", ALNUM, 80, weak=True),
        _form("A3-", "A-Z0-9-", 30, weak=True),
        _form("AQVN y0_", WORD, 35, weak=True),
        _form("v1.0-", "0-9a-f-", 100),
        _form("sk.eyJ", "A-Za-z0-9_.-", 40),
    ),
    _shapes(
        "token of a service",
        ".atlasv1.",
        r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}",
        before=_LETTERS + _DIGITS,
        least=14,
    ),
    _shapes(
        "token of a service",
        "access_token$production$ access_token$sandbox$",
        r"access_token\$\w+\$[0-9a-z]{16}\$[0-9a-f]{32}",
    ),
    *_issued("private key", _form("AGE-SECRET-KEY-1", "A-Z0-9", 40)),
    Pattern("JSON web token", ("eyJ",), _find_json_web_token),
)
