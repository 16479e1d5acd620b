"""What the name of a value says about it: whether `SERPER_API_KEY`, `primary_key` or `token` names a secret."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from lrat_hub.importers.redaction.patterns import words

Kind = Literal["password", "secret", "token"]
"""What a value must look like: a password like anything, a secret drawn at random, a token drawn and long."""

# Endings of names. A name is looked for where one of them stands before a separator.
ENDINGS = (
    "password", "passwd", "passphrase", "passcode", "pwd", "pass", "pw", "secret", "token", "key", "credential",
    "credentials", "auth", "signature", "sig", "sid", "sessionid", "sessid", "session",
)  # fmt: skip

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd")
_NO_PASSWORDS = words("no hash hashed forgot forgotten reset min max show has is bypass without")
_OWNERS = words(
    """
    db database smtp mail email imap pop user root admin mysql postgres pg mongo redis ftp sftp ssh ldap login
    proxy http account service app my master vault key keystore store cert
    """
)
_NO_TOKENS = words(
    """
    max min num number new pad padding eos bos unk mask sep cls special end start stop next page continuation
    last prev previous first total per image prompt completion input output text word sub subword char vocab
    target source current decoder encoder nft erc governance native utility base quote think sync resume paging
    cursor chat top count a the of this any every each single eot eod fim lock idempotency purchase
    update change client request control unused added extra tool object
    entity language stream
    """
)
_SECRET_TOKENS = words(
    """
    access auth refresh id session security bearer bot api oauth oauth2 jwt csrf xsrf secret personal pat hf hub
    hugging huggingface face github gh gitlab slack discord telegram npm pypi vault sas user service account
    private deploy verification webhook registry login device write read admin app
    """
)
_SECRET_KEYS = words(
    """
    api apikey secret access private encryption decryption signing sign auth master account subscription app
    application client ssh storage admin consumer webhook shared license licence session security jwt cipher aes
    hmac root deploy deployment rsa ssl tls pgp gpg service server api2 functions function host integration
    credential user
    """
)
_NO_KEYS = words(
    """
    primary foreign sort partition public pub cache object hash index row idempotency dedup lookup group routing
    registry metadata range surrogate citation bibtex composite unique json candidate natural super join map
    dict config settings option arrow enter return shift ctrl control alt tab escape esc delete home end page up
    down left right hot mon tur don whis jac low high musical minor major house answer feature dataset column
    field property attribute element translation message event context query search document doc record item
    sorting order ordering distribution shard bucket file path image storage_object time date version the a this
    that any every each legend map pass_through redis_cache memo state scroll translation i18n locale kms
    fingerprint known cursor block
    """
)
_VENDORS = words(
    """
    openai anthropic azure serper tavily jina hf google gemini bing brave exa cohere mistral groq deepseek
    openrouter together fireworks perplexity pplx replicate voyage nvidia cerebras xai firecrawl serpapi
    scrapingbee langchain langsmith langfuse wandb comet pinecone qdrant weaviate zilliz milvus elastic
    elasticsearch algolia stripe twilio sendgrid mailgun datadog sentry newrelic github gitlab aws gcp dashscope
    moonshot zhipu minimax siliconflow baidu alibaba tencent volcengine ark you kagi linkup apify browserbase
    e2b huggingface hub maps
    """
)
_SESSIONS = frozenset(("sessid", "sessionid", "phpsessid", "jsessionid", "aspsessionid", "sid"))


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: of `X-Api-Key`, `apiKey` and `API_KEY`."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind | None:
    """What a value of that name must look like to be a secret; None when the name is none of a secret."""
    parts = words_of(name)
    if not parts:
        return None
    last, before = parts[-1], parts[:-1]
    previous = before[-1] if before else ""
    if last.endswith(_PASSWORDS) or last == "pswd":
        return None if previous in _NO_PASSWORDS else "password"
    if last in ("pass", "pw") or last.endswith(("dbpass", "userpass")):
        return "password" if previous in _OWNERS or last not in ("pass", "pw") else None
    if last.endswith("secret"):
        return "secret"
    if last.endswith("token"):
        return _kind_of_token(name, last, before)
    if last.endswith(("key", "apikeys")):
        return _kind_of_key(name, last, before)
    if before[:2] == ["x", "amz"] and last == "credential":
        return None  # the id of a key, which has a form of its own, and a date
    if last in ("credential", "credentials") or (
        last == "auth" and (not before or previous in ("", "basic", "http", "proxy"))
    ):
        return "token"
    if last == "signature":
        return "secret" if before[:2] in (["x", "amz"], ["x", "goog"]) else None
    if last in _SESSIONS or name in ("connect.sid", "_gitlab_session"):
        return "token" if last != "sid" or name == "connect.sid" else None
    return None


def _kind_of_token(name: str, last: str, before: list[str]) -> Kind | None:
    if last != "token":
        return "secret" if last.removesuffix("token") in _SECRET_TOKENS else None
    if not _NO_TOKENS.isdisjoint(before):
        return None
    if before and (before[-1] in _SECRET_TOKENS or name.isupper()):
        return "secret"
    return "token"


def _kind_of_key(name: str, last: str, before: list[str]) -> Kind | None:
    if last != "key":
        stem = last.removesuffix("s").removesuffix("key")
        known = stem in _SECRET_KEYS or any(stem.endswith(word) for word in ("api", "secret", "access", "private"))
        return "secret" if known else None
    if not before or "public" in before or before[-1] in ("public", "pub"):
        return None
    if before[-1].endswith("api"):
        return "secret"
    if before[-1] in _SECRET_KEYS:
        return (
            None
            if before[-1] in ("client", "function", "functions", "user", "host", "server") and _plain(name)
            else "secret"
        )
    if before[-1] in _NO_KEYS or not _NO_KEYS.isdisjoint(before[-1:]):
        return None
    if before[-1] in _VENDORS:
        return "secret"
    return "token" if name.isupper() or before[0] == "x" else None


def _plain(name: str) -> bool:
    """Whether a name is one of code rather than of a header or the environment."""
    return not name.isupper() and "-" not in name
