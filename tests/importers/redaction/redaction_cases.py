r"""Secrets of many kinds and harmless texts that look like some, to measure redaction with.

Every secret is drawn at random when it is needed and its prefix is put together here, so that scanners of this
repository find nothing.
"""

import json
import random
import string
from urllib.parse import quote

ALNUM = string.ascii_letters + string.digits
WORD, HEX, BASE64 = ALNUM + "-_", "0123456789abcdef", ALNUM + "+/"
LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits


class Draw(random.Random):
    def text(self, alphabet: str, size: int) -> str:
        """Characters of an alphabet, the first and last of them letters or digits."""
        drawn = self.choices(alphabet, k=size)
        for index in (0, -1):
            while not drawn[index].isalnum():
                drawn[index] = self.choice(alphabet)
        return "".join(drawn)

    def alnum(self, size: int) -> str:
        return self.text(ALNUM, size)

    def uuid(self) -> str:
        return "-".join(self.text(HEX, size) for size in (8, 4, 4, 4, 12))


# Tokens of known form: prefix (split at |), alphabet, size.
FORMS = {
    "Hugging Face": ("hf|_", ALNUM, 34),
    "Hugging Face organisation": ("api_|org_", ALNUM, 34),
    "OpenAI": ("sk|-", ALNUM, 48),
    "OpenAI project": ("sk-|proj-", WORD, 156),
    "OpenAI service": ("sk-|svcacct-", WORD, 120),
    "OpenAI admin": ("sk-|admin-", WORD, 100),
    "OpenRouter": ("sk-|or-v1-", HEX, 64),
    "DeepSeek": ("sk|-", HEX, 32),
    "LiteLLM": ("sk|-", ALNUM, 22),
    "Anthropic": ("sk-|ant-api03-", WORD, 95),
    "Groq": ("gs|k_", ALNUM, 52),
    "xAI": ("xa|i-", ALNUM, 80),
    "Perplexity": ("pp|lx-", ALNUM, 48),
    "Replicate": ("r|8_", ALNUM, 37),
    "NVIDIA": ("nva|pi-", WORD, 64),
    "Cerebras": ("cs|k-", ALNUM, 48),
    "Pinecone": ("pc|sk_", ALNUM + "_", 60),
    "LangSmith": ("lsv2|_pt_", HEX, 32),
    "Langfuse": ("sk|-lf-", HEX, 32),
    "Fireworks": ("fw|_", ALNUM, 24),
    "Voyage": ("pa|-", WORD, 43),
    "Tavily": ("tv|ly-", ALNUM, 32),
    "Tavily development": ("tv|ly-dev-", ALNUM, 32),
    "Jina": ("jin|a_", ALNUM, 60),
    "Firecrawl": ("f|c-", HEX, 32),
    "Brave": ("BS|A", ALNUM, 28),
    "E2B": ("e2|b_", HEX, 40),
    "Databricks": ("da|pi", HEX, 32),
    "LlamaCloud": ("ll|x-", ALNUM, 48),
    "RunPod": ("rp|a_", ALNUM, 40),
    "AWS": ("AK|IA", UPPER + "234567", 16),
    "AWS temporary": ("AS|IA", UPPER + "234567", 16),
    "AWS session": ("IQoJb3J|pZ2lu", BASE64, 300),
    "Bedrock": ("AB|SK", BASE64, 120),
    "Google": ("AI|za", WORD, 35),
    "Google OAuth": ("ya|29.", WORD, 140),
    "Google client secret": ("GOC|SPX-", WORD, 28),
    "GitHub": ("gh|p_", ALNUM, 36),
    "GitHub OAuth": ("gh|o_", ALNUM, 36),
    "GitHub app": ("gh|s_", ALNUM, 36),
    "GitHub fine": ("github|_pat_", ALNUM + "_", 82),
    "GitLab": ("gl|pat-", WORD, 20),
    "GitLab runner": ("gl|rt-", WORD, 20),
    "GitLab deploy": ("gl|dt-", WORD, 20),
    "Slack bot": ("xo|xb-123456789012-1234567890123-", ALNUM, 24),
    "Slack user": ("xo|xp-123456789012-1234567890123-1234567890123-", HEX, 32),
    "Slack app": ("xa|pp-1-A012B3CD4-1234567890123-", HEX, 64),
    "Stripe": ("sk|_live_", ALNUM, 24),
    "Stripe test": ("sk|_test_", ALNUM, 24),
    "Stripe restricted": ("rk|_live_", ALNUM, 24),
    "Stripe webhook": ("wh|sec_", ALNUM, 32),
    "npm": ("np|m_", ALNUM, 36),
    "PyPI": ("py|pi-AgEIcHlwaS5vcmc", WORD, 140),
    "DigitalOcean": ("do|p_v1_", HEX, 64),
    "Twilio": ("S|K", HEX, 32),
    "Linear": ("lin|_api_", ALNUM, 40),
    "Notion": ("nt|n_", ALNUM, 46),
    "Atlassian": ("ATA|TT3", WORD, 180),
    "Postman": ("PM|AK-", HEX, 58),
    "Shopify": ("sh|pat_", HEX, 32),
    "Square": ("sq0|atp-", WORD, 22),
    "Doppler": ("dp|.pt.", ALNUM, 43),
    "Vault": ("hv|s.", WORD, 95),
    "Grafana": ("gl|sa_", ALNUM, 41),
    "Docker": ("dckr|_pat_", WORD, 27),
    "Netlify": ("nf|p_", ALNUM, 36),
    "RubyGems": ("ruby|gems_", HEX, 48),
    "Pulumi": ("pu|l-", HEX, 40),
    "Supabase": ("sb|p_", HEX, 40),
    "Figma": ("fi|gd_", WORD, 40),
    "age": ("AGE-SECRET|-KEY-1", UPPER, 58),
    "Alibaba": ("LT|AI", ALNUM, 20),
    "Sendinblue": ("xkey|sib-", HEX, 64),
    "New Relic": ("NR|AK-", UPPER + DIGITS, 27),
    "OpenShift": ("sha|256~", WORD, 43),
    "PlanetScale": ("pscale|_pw_", WORD, 43),
    "Terraform-like Fly": ("fo|1_", WORD, 43),
    "CircleCI": ("CCI|PAT_", ALNUM, 40),
}


def issued(draw: Draw, name: str) -> str:
    prefix, alphabet, size = FORMS[name]
    return prefix.replace("|", "") + draw.text(alphabet, size)


def password(draw: Draw) -> str:
    """One with letters, a digit and a sign, none of which ends a value anywhere."""
    return (
        draw.text(LOWER, 5) + draw.text(UPPER, 2) + draw.text(DIGITS, 2) + draw.choice("!#$^*~") + draw.text(LOWER, 3)
    )


def words(draw: Draw) -> str:
    """A password that is made of words, without a digit."""
    return "".join(draw.sample(["salmon", "trumpet", "velvet", "harbour", "pickle", "thunder", "marble"], 3))


def private_key(draw: Draw, kind: str = "RSA ", size: int = 6) -> str:
    lines = "\n".join(draw.text(BASE64, 64) for _ in range(size))
    return f"-----BEGIN {kind}PRIVATE" + f" KEY-----\n{lines}\n-----END {kind}PRIVATE" + " KEY-----"


def web_token(draw: Draw) -> str:
    return f"eyJ{draw.text(WORD, 33)}" + f".eyJ{draw.text(WORD, 80)}.{draw.text(WORD, 43)}"


def wrapped(text: str, at: int, mark: str) -> str:
    return text[:at] + mark + text[at:]


def secrets(seed: int) -> dict[str, tuple[str, str, str]]:
    """Kinds of secrets by name: the text before the secret, the secret, and the text after it."""
    draw = Draw(seed)
    cases: dict[str, tuple[str, str, str]] = {}

    def add(name: str, before: str, secret: str, after: str = "") -> None:
        assert name not in cases
        cases[name] = (before, secret, after)

    surroundings = [
        ("The key is <", "> in it"),
        ("export X=", "\nls"),
        ('{"a": "', '"}'),
        ("(", ")"),
        ("a\\n", "\\nb"),
        ("my_", " ok"),
    ]
    for index, name in enumerate(FORMS):
        weak = name in ("Brave", "Twilio", "Alibaba", "AWS", "AWS temporary")
        before, after = surroundings[(index + seed) % (4 if weak else 6)]
        add(name, before, issued(draw, name), after)

    key, secret = draw.alnum(32), draw.alnum(24)
    add("glued to a name", "my_", issued(draw, "Hugging Face"), ".txt")
    add("glued to letters", "token", issued(draw, "GitHub"), "")
    add("after an escaped line break", '{"out": "login\\n', issued(draw, "GitHub"), '\\ndone"}')
    add("after a percent code", "https://x.org/?t%3D", issued(draw, "OpenAI"), "%26b%3D1")
    add("in an address's path", "https://x.org/u/", issued(draw, "Hugging Face"), "/resolve")
    add("broken over lines", "$ echo ", wrapped(issued(draw, "Hugging Face"), 20, "\n"), "\nOK then")
    add("broken over indented lines", "key:\n  ", wrapped(issued(draw, "GitHub"), 18, "\n  "), "\n  done: yes")
    add("broken by an escaped line break", '{"a": "', wrapped(issued(draw, "Google"), 21, "\\n"), '", "b": 1}')
    add("broken by a shell", "curl -H x:", wrapped(issued(draw, "Anthropic"), 24, "\\\n"), " https://x.org")
    add("SendGrid", "mail ", "SG" + f".{draw.text(WORD, 22)}.{draw.text(WORD, 43)}", ", sent")
    add("Telegram", "bot ", f"{draw.text('123456789', 9)}:AA" + draw.text(WORD, 33), " runs")
    add(
        "Telegram in an address",
        "https://api.telegram.org/bot",
        f"{draw.text('123456789', 10)}:" + draw.text(WORD, 35),
        "/getMe",
    )
    add("Discord", "run ", "MTA4" + f"{draw.alnum(22)}.{draw.alnum(6)}.{draw.alnum(38)}", "")
    add(
        "Slack webhook",
        "https://hooks.slack." + "com/services/",
        f"T{draw.text(UPPER + DIGITS, 8)}/B{draw.text(UPPER + DIGITS, 8)}/{draw.alnum(24)}",
        " posts",
    )
    add("Discord webhook", "https://discord.com/api/web" + "hooks/123456789012345678/", draw.text(WORD, 68), "")
    add("Mailchimp", "use ", draw.text(HEX, 32) + "-us" + "12", " there")
    add("Azure client", "id ", f"{draw.alnum(3)}8Q~{draw.alnum(34)}", "\n")
    add("Airtable", "with ", "pa" + f"t{draw.alnum(14)}.{draw.text(HEX, 64)}", "")
    add("JSON web token", "<", web_token(draw), "> is one")
    add("JSON web token in a cookie", "Cookie: jwt=", web_token(draw), "; theme=dark")

    add("private key", "cat id_rsa\n", private_key(draw), "\n$ ")
    add("private key, PKCS8", "", private_key(draw, ""), "")
    add("private key, OpenSSH", "x ", private_key(draw, "OPENSSH "), " y")
    add("private key in JSON", '{"private_key": "', private_key(draw).replace("\n", "\\n"), '", "a": 1}')
    add("private key in JSON in JSON", '"{\\"k\\": \\"', private_key(draw).replace("\n", "\\\\n"), '\\"}"')
    add("private key in one line", "k = ", private_key(draw).replace("\n", " "), " # k")
    add("private key, cut", "key: ", private_key(draw)[:300], "")
    add(
        "private key, encrypted",
        "",
        private_key(draw).replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n", 1),
        "\n",
    )
    add("PGP key", "", private_key(draw, "PGP ").replace("KEY--", "KEY BLOCK--"), "\n")
    add(
        "private key in base64",
        "client-key-data: ",
        "LS0tLS1CRUdJTiBSU0EgUFJJ" + f"VkFURSBLRVkt{draw.text(BASE64, 200)}",
        "\n",
    )

    add("bearer header", "Authorization: Bearer ", draw.alnum(40), "\n")
    add("bearer without a digit", "Authorization: Bearer ", draw.text(string.ascii_letters, 32), "\nAccept: */*")
    add("bearer of lower case", "curl -H 'Authorization: Bearer ", draw.text(LOWER, 32), "' x.org")
    add("bearer in JSON", '{"Authorization":"Bearer ', draw.alnum(30), '","a":"b"}')
    add("bearer in a sentence", "It sends bearer ", draw.alnum(36), " with it.")
    add("bearer in an address", "x.org/?authorization=Bearer%20", draw.alnum(36), "&a=b")
    add("basic header", "Authorization: Basic ", draw.alnum(24) + "==", "\n")
    add("token header", "authorization: token ", draw.text(HEX, 40), "\n")
    add("header without a scheme", '"authorization": "', draw.alnum(32), '"')
    add(
        "AWS signature header",
        "Authorization: AWS4-HMAC-SHA256 SignedHeaders=host, Signature=",
        draw.text(HEX, 64),
        "\n",
    )
    add("x-api-key header", "X-API-Key: ", draw.text(HEX, 32), "\nHost: x")
    add("x-api-key of curl", 'curl -H "x-api-key: ', draw.alnum(28), '" https://x.org')
    add("subscription header", "Ocp-Apim-Subscription-Key: ", draw.text(HEX, 32), "")
    add("uuid as a key", "EXA_API_KEY=", draw.uuid(), "\n")

    add("API key in JSON", '{"api_key": "', key, '", "a": 1}')
    add("API key in compact JSON", '{"apiKey":"', draw.alnum(32), '","url":"https://a.com"}')
    add("API key in JSON in JSON", '"{\\"api_key\\": \\"', draw.alnum(32), '\\", \\"a\\": 1}"')
    add("API key, two levels down", r'"\"{\\\"api_key\\\":\\\"', draw.alnum(32), r'\\\"}\""')
    add("API key in a repr", "{'api_key': '", draw.alnum(32), "', 'a': 1}")
    add("API key in YAML", "service:\n  api_key: ", draw.alnum(32), "\n  url: https://a.com")
    add("API key in .env", "A=1\nSERPER_API_KEY=", draw.text(HEX, 40), "\nB=2")
    add("API key of digits", "SERPER_API_KEY=", draw.text(DIGITS, 32), "\n")
    add("API key in a shell", "export OPENAI_API_KEY='", draw.alnum(40), "'; ls")
    add("API key in Python", 'client = Client(api_key="', draw.alnum(32), '", timeout=3)')
    add("API key in os.environ", 'os.environ["COHERE_API_KEY"] = "', draw.alnum(40), '"')
    add("API key set by a function", "os.environ.setdefault('COHERE_API_KEY', '", draw.alnum(40), "')")
    add("API key in an address", "https://x.org/s?q=a&api_key=", draw.alnum(32), "&n=5")
    add(
        "API key in an encoded address",
        "https://x.org/?u=https%3A%2F%2Fy.org%3Fapi_key%3D",
        draw.alnum(32),
        "%26n%3D5",
    )
    add("API key after an escaped ampersand", '"https://x.org/?q=1\\u0026api_key=', draw.alnum(32), '\\u0026n=5"')
    add("key in an address", "https://maps.x.org/js?key=", draw.alnum(39), "&v=3")
    add("API key as an option", "tool --api-key ", draw.alnum(32), " --verbose")
    add("API key as an option with =", "tool --api-key=", draw.alnum(32), " --verbose")
    add("API key in a Dockerfile", "ENV WEATHER_API_KEY ", draw.alnum(32), "\nRUN x")
    add("API key in TOML", '[x]\napi_key = "', draw.alnum(32), '"\n')
    add("API key in XML", "<apiKey>", draw.alnum(32), "</apiKey>")
    add("API key in an attribute", '<add key="ApiKey" value="', draw.alnum(32), '"/>')
    add("API key as name and value", '{"name": "API_KEY", "value": "', draw.alnum(32), '"}')
    add("API key in backticks", "Set `api_key: ", draw.alnum(32), "` there")
    add("API key in a sentence", "My API key is ", draw.alnum(32), ", use it")
    add("API key in bold", "**API Key:** ", draw.alnum(32), "\n")
    add("key broken over lines", '"api_key": "', wrapped(draw.alnum(40), 20, "\\n"), '"')
    add("key on the next line", '{\n "api_key":\n   "', draw.alnum(32), '"\n}')
    add("key in HTML", "{&quot;api_key&quot;:&quot;", draw.alnum(32), "&quot;}")
    add("key in encoded JSON", "%7B%22api_key%22%3A%22", draw.alnum(32), "%22%7D")
    add("secret in JSON", '{"secret": "', draw.alnum(20), '"}')
    add("token in JSON", '{"token": "', draw.alnum(32), '", "id": 4}')
    add("refresh token", '{"refresh_token":"', draw.text(WORD, 60), '"}')
    add("access token in an address", "https://x.org/cb#access_token=", draw.text(WORD, 50), "&type=b")
    add("id token", "id_token: ", draw.alnum(64), "\n")
    add("session token", "aws_session_token = ", draw.text(BASE64, 200) + "==", "\n")
    add("session token in JSON", '{"SessionToken": "', draw.text(BASE64, 200), '"}')
    add("AWS secret", "aws_secret_access_key = ", draw.text(BASE64, 40), "\n")
    add("AWS secret in JSON", '{"SecretAccessKey":"', draw.text(BASE64, 40), '"}')
    add("client secret", "client_secret=", draw.text(WORD, 32), "&grant_type=x")
    add("environment token", "DEPLOY_TOKEN=", draw.alnum(24), "\n")
    add("environment key", "AZURE_OPENAI_KEY: ", draw.text(HEX, 32), "\n")
    add("signing key", "JWT_SECRET='", secret, "'")
    add("Django", "SECRET_KEY = '", draw.text(ALNUM + "@#%^&*-_=+", 50), "'\n")
    add("npmrc", "//registry.npmjs.org/:_authToken=", draw.uuid(), "\n")
    add("Azure account", "AccountName=x;AccountKey=", draw.text(BASE64, 86) + "==", ";EndpointSuffix=core")
    add("Azure bus", "SharedAccessKeyName=Root;SharedAccessKey=", draw.text(BASE64, 43) + "=", "")
    add(
        "Azure signature",
        "https://x.blob.core.windows.net/c?sv=2022-11-02&sp=r&sig=",
        quote(draw.text(BASE64, 43) + "=", safe=""),
        "&se=2026",
    )
    add("AWS signature", "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=", draw.text(HEX, 64), "&x=1")
    add(
        "AWS security token",
        "https://b.s3.amazonaws.com/k?X-Amz-Security-Token=",
        quote(draw.text(BASE64, 120), safe=""),
        "&x=1",
    )
    add("Google signature", "https://storage.x.org/k?X-Goog-Signature=", draw.text(HEX, 128), "")

    add("password in JSON", '{"user": "ada", "password": "', password(draw), '"}')
    add("password without a digit", '{"user":"ada","password":"', words(draw), '"}')
    add("password in JSON in JSON", '"{\\"password\\": \\"', password(draw), '\\"}"')
    add("password as a number", '{"password": "', draw.text(DIGITS, 8), '"}')
    add("password in YAML", "db:\n  user: ada\n  password: ", password(draw), "\n  port: 1")
    add("password of words in YAML", "db:\n  user: ada\n  password: ", words(draw), "\n  port: 1")
    add("password in .env", "DB_PASSWORD=", password(draw), "\n")
    add("password of words in .env", "DB_PASSWORD=", words(draw), "\n")
    add("password in a shell", "export PGPASSWORD='", password(draw), "'")
    add("password in Python", "connect(user='ada', password='", words(draw), "')")
    add("password in double quotes", 'password="', words(draw), '"')
    add("password in a form", "user=ada&password=", words(draw), "&go=1")
    add("password in a connection string", "Server=db;User Id=ada;Password=", words(draw), ";Encrypt=yes")
    add("password in a DSN", "host=db user=ada password=", words(draw), " dbname=x")
    add("password as an option", "mysql --password=", words(draw), " x")
    add("password as an option's word", "login --password ", password(draw), " x")
    add("password in a sentence", "The password is ", draw.text(LOWER, 6) + draw.text(DIGITS, 3), " and it works")
    add("password after a colon", "User: ada\nPassword: ", draw.text(LOWER, 6) + draw.text(DIGITS, 3), "\n")
    add("passphrase", '"passphrase": "', "correct horse battery " + "staple", '"')
    add("pwd", '"pwd":"', password(draw), '"')
    add("password in XML", "<password>", password(draw), "</password>")
    add("password in an address", "postgres://ada:", password(draw).replace("#", "!"), "@db:5432/x")
    add("password of words in an address", "https://ada:", words(draw), "@x.org/a")
    add("password without a user", "redis://:", draw.alnum(12), "@cache:6379/0")
    add("password in an escaped address", '"postgres:\\/\\/ada:', draw.alnum(12), '@db\\/x"')
    add("password in an encoded address", "u=postgres%3A%2F%2Fada%3A", draw.alnum(12), "%40db%2Fx")
    add("token as a user", "git clone https://", draw.text(HEX, 40), "@git.x.org/a.git")
    add("token as a user's password", "https://x-access-token:", draw.alnum(40), "@github.com/a/b")
    add("netrc", "machine x.org login ada password ", draw.alnum(10), "\n")
    add("user of curl", "curl -u ada:", password(draw), " https://x.org")
    add("cookie", "Cookie: theme=dark; sessionid=", draw.text(LOWER + DIGITS, 32), "; lang=en")
    add("set-cookie", "Set-Cookie: sid=", draw.alnum(40), "; Path=/; HttpOnly")
    add("cookie in JSON", '{"Cookie": "a=1; PHPSESSID=', draw.text(LOWER + DIGITS, 26), '"}')
    assert len({*cases}) == len(cases)
    return cases


FAKE = "1234567890abcdef1234567890abcdef12345678"

HARMLESS: tuple[str, ...] = (
    # Names that only look like those of secrets.
    "PRIMARY_KEY = customer_order_2024_v2",
    "MAX_NEW_TOKEN: 1234567890123456",
    "MONKEY: 1234567890123456 of them",
    "PRIMARY_KEY: chosen-by-the-database",
    "FOREIGN_KEY=orders_customer_id_fk_2024",
    "SORT_KEY = created_at_2024_01_01_desc",
    '"cache_key": "search_results_v2_2024_10_11_page1"',
    f"CACHE_KEY={FAKE}",
    "partition_key: user-2024-region-eu-west-1",
    "PUBLIC_KEY=ssh-ed25519-public-part-2024",
    "max_tokens=4096, token_count=1234567890",
    '{"prompt_tokens": 1234567890123456}',
    "pad_token='<|endoftext|>', eos_token=\"</s>\"",
    '"pad_token": "<pad_1234567890abcdef>"',
    'next_page_token: "CAUQAAabc123def456"',
    '{"nextPageToken":"EAAaBlBUOkNBVQ12345"}',
    "keyboard=qwertz123456789012345",
    "turkey: 1234567890abcdef1234",
    "hotkey: ctrl+shift+k1234567890",
    "API_KEY_NAME=serper_primary_2024_key",
    "TOKENIZERS_PARALLELISM=false_or_true_12345",
    "the keyword: machine-learning-2024-conference",
    "token_type_ids=101202303404505606",
    "answer_key: b1c2d3a4b5c6d7a8b9c0",
    # Tokenizers and models.
    '{"token": "Ġthe", "id": 262}',
    '[{"token":"▁Hello","logprob":-0.12},{"token":"##ing","logprob":-1.5}]',
    '"token": "internationalization"',
    '{"token": "antidisestablishmentarianism", "score": 0.1}',
    "token: 15496, 995, 0",
    "special_tokens_map={'unk_token': '<unk>'}",
    "max_new_tokens: 16384",
    "num_tokens: 1234567890123",
    '"tokens": ["sk", "-", "hf", "_"]',
    "Qwen/Qwen3-Embedding-0.6B and meta-llama/Llama-3.1-8B-Instruct",
    "model_key = Qwen3NextForCausalLM2025",
    # Placeholders.
    "OPENAI_API_KEY=YOUR_API_KEY",
    "OPENAI_API_KEY=your-api-key-here",
    'api_key="YOUR_API_KEY"',
    "api_key = '<your-api-key>'",
    "Authorization: Bearer <token>",
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer ${ACCESS_TOKEN}",
    "Authorization: Bearer YOUR_ACCESS_TOKEN",
    "Authorization: Bearer {token}",
    "token: ${TOKEN}",
    "password: ${DB_PASSWORD}",
    "password: {{ vault_db_password }}",
    "PASSWORD=$PASSWORD",
    "password=%(password)s",
    "password='********'",
    '"password": "xxxxxxxx"',
    "DB_PASSWORD=changeme",
    "SECRET_KEY=replace-me-with-a-secret",
    "HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "hf_...",
    "sk-...",
    "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "export HF_TOKEN=<token>",
    "https://user:password@example.org/path",
    "postgres://<user>:<password>@<host>/db",
    "postgres://${USER}:${PASSWORD}@db/x",
    'headers = {"X-API-Key": "your_api_key"}',
    "--token <TOKEN> --password <PASSWORD>",
    "password: [redacted: named secret]",
    '{"api_key": "[redacted: named secret]"}',
    "https://ada:[redacted: password in an address]@x.org/",
    "api_key: string (required)",
    '{"type": "string", "name": "password", "description": "The password of the account"}',
    '"api_key": "The API key for the search service."',
    '{"password": "string", "token": "string"}',
    '"password": "Enter your password"',
    '"password": "Passwort"',
    '"forgotPassword": "Forgot your password?"',
    # Code.
    'token = os.environ["X_TOKEN"]',
    "api_key=os.getenv('SERPER_API_KEY')",
    "password=args.password",
    "login(user, password=password)",
    "self.token = token",
    "const token = await getToken();",
    "api_key: str | None = None",
    "password: str",
    "password = getpass.getpass()",
    "token=settings.HF_TOKEN",
    "if token == '</s>': break",
    "def login(username, password=None, token=None):",
    "password: Optional[str] = None",
    "secret: process.env.CLIENT_SECRET",
    "password = models.CharField(max_length=128)",
    "key=lambda x: x[1]",
    "sorted(items, key=itemgetter(1))",
    "for key, value in token_counts.items(): total[key] = value",
    "user.setPassword(newPassword)",
    "token := lexer.NextToken()",
    "password = user_password",
    "auth = (user, password)",
    "apiKey: config.apiKey",
    "token?: string;",
    'input type="password" name="password" placeholder="Password"',
    # Prose.
    "The bearer of this letter",
    "An authorization token is needed",
    "password: see the notice board",
    "The password is required and must have 8 characters.",
    "Password: at least 12 characters",
    "Passwords, tokens and secrets: how they are stored",
    "Authorization: required for all endpoints",
    "bearer authentication-mechanisms are described below",
    "Token: a unit of text; secret: something that is hidden",
    "The secret is out: nobody knew",
    "He was a standard bearer internationally recognised",
    "password: base64-encoded string",
    "Password: SHA256 hash of the input",
    "The key is that reading comes first",
    "the token is invalid",
    "Secret: The Life of 2 Spies",
    "my secret = happiness",
    "The cookie: chocolate = best",
    "Cookie: a small biscuit",
    "Key: C major; token: 2 of 5",
    "Basic authorization: none",
    "| token | description |",
    "| password | a text of 8 to 16 characters |",
    "-----BEGIN PRIVATE KEY----- is how one starts",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ2hlc3QgZmFrZSBjZXJ0aWZpY2F0ZQ==\n-----END CERTIFICATE-----",
    # Addresses and mail.
    '{"url":"https://a.com","mail":"jane@x.org"}',
    "{'url': 'https://a.com', 'mail': 'jane@x.org'}",
    "https://example.org:8080/a@b",
    "https://a.com,b:c@d.org",
    "ada@example.org",
    "See https://x.org:443/@ada/status/1 and http://y.org:80/?mail=a@b.org",
    "git@github.com:org/repo.git",
    "ssh://git@github.com:22/org/repo.git",
    "https://medium.com/@ada/a-title-9f86d081884c",
    "http://localhost:8000/v1/embeddings",
    "mailto:jane@x.org?subject=key",
    "https://x.org/a?page=2&sort_key=date_2024&q=token",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42",
    "[https://a.com](https://a.com) (jane@x.org)",
    "https://x.org/search?q=password:+how+to+reset&hl=en",
    "urls: https://a.com:80, https://b.com:81; contact: c@d.org",
    # Ids, digests and data.
    "9b3e1c0a7d5f4e2b8c6a1d3f5e7b9c0a",
    f"commit {FAKE}",
    f"git show {FAKE}:path/to/file",
    f"sha256:{FAKE}{FAKE[:24]}",
    "550e8400-e29b-41d4-a716-446655440000",
    '"session_id": "550e8400-e29b-41d4-a716-446655440000"',
    '{"docid": "d41d8cd98f00b204e9800998ecf8427e", "score": 1.5}',
    "doi:10.1093/nar/gkab1112",
    "https://doi.org/10.1038/s41586-021-03819-2",
    "ISBN 978-3-16-148410-0",
    "arXiv:2604.04949v2",
    "ENSG00000139618 and ENST00000380152.8",
    "rs1801133 in MTHFR (NM_005957.5:c.665C>T)",
    "P0DTC2 SPIKE_SARS2",
    "CC(=O)Oc1ccccc1C(=O)O",
    "2-acetyloxybenzoic acid, 3,4-methylenedioxymethamphetamine, dichlorodiphenyltrichloroethane",
    "InChIKey=BSYNRYMUTXBXSQ-UHFFFAOYSA-N",
    "InChIKey: RYYVLZVUVIJVGH-UHFFFAOYSA-N",
    "![x](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==)",
    "2024-10-11T12:30:45.123456789Z",
    "12:30:45 1234567890: 35 lines",
    '"token": "0xdAC17F958D2ee523a2206206994597C13D831ec7"',
    "call_abc123DEF456ghi789JKL012",
    '"tool_call_id": "toolu_01A09q90qw90lq917835lq9"',
    "AS1234567890 AKIAKI IASI",
    # Words with the prefixes of tokens.
    "sk-hynix-announces-a-new-generation-of-memory-chips",
    "sk-learn-contrib-category-encoders-2024",
    "https://x.org/sk-telecom-and-openai-announce-partnership-2024-9f86d081",
    "task-list of fc-barcelona-femeni-2024-season-squad",
    "half_marathon_results_2024",
    "risk-assessment-of-large-language-models-2024",
    "desk-research-and-interviews-with-practitioners",
    "hf_hub_download and hf_transfer",
    "hf_model_repository_id_for_the_experiment",
    "from_hf_\nalpha\nbeta\ngamma\ndelta\nepsilon\nzeta\neta\ntheta\niota",
    "npm_config_registry and npm_package_version",
    "glpat-",
    "xai-explainable-artificial-intelligence-survey-2024",
    "pa-ssive and pa-rticipatory-action-research-methods",
    "fw_update_status_report_2024",
    "tvly-search-tool",
    "key-performance-indicators-for-2024-and-beyond",
    "pul-monary-embolism-guidelines",
    "ghp_ is the prefix of GitHub's tokens, github_pat_ of newer ones",
    # Markdown, paths, and numbers.
    "# Token\n\n- `token`: the token\n- `password`: the password",
    "C:\\temp\\npm_cache\\token.txt",
    "**Key:** value, **Token:** none",
    "key: value\nother_key: other value",
    "password_hash, password_salt",
    "1234567890:12",
    "Contact: 555-0100, key: 42",
)

# One text a line: what documentation, code, configurations and logs say about keys, tokens and passwords.
MORE_HARMLESS = r"""
token_count: 1234567890
The token budget is 4096 tokens per request.
max_tokens: 8192
"finish_reason":"stop","usage":{"total_tokens":12345}
"logprobs":{"tokens":["Hello"," world"],"token_logprobs":[-0.1,-0.2]}
{"token":"ĠNeuro","logprob":-3.2,"bytes":[196]}
{"token": "supercalifragilisticexpialidocious"}
"tokens": ["[CLS]", "hello", "[SEP]"]
tokenizer.pad_token = tokenizer.eos_token
pad_token_id=50256
next_token = logits.argmax(-1)
cursor_token="eyJwYWdlIjoyfQ=="
"continuation_token": "MDAwMDAwMDAwMDAwMDAwMDAwMDE="
key = hashlib.sha256(data).hexdigest()
"key": "user:1234:profile"
"key":"d3b07384d113edec49eaa6238ad5ff00"
cache_key=d3b07384d113edec49eaa6238ad5ff00
s3_key = "data/2024/10/file_0001.parquet"
object_key: uploads/2024/report_final_v3.pdf
"partition_key": "2024-10-11#US#12345"
encryption_key_id: alias/aws/s3
sort_keys=True, ensure_ascii=False
primary_key=True, unique_key="email_address_2024"
api_key_required: true
requires_api_key = False
"api_key": null
"api_key": ""
api_key: optional
api_key=None
API_KEY=...
API_KEY="<your key>"
API_KEY=${API_KEY}
API_KEY=$(cat key.txt)
API_KEY={{ secrets.API_KEY }}
api_key = config["api_key"]
api_key=st.secrets["OPENAI_API_KEY"]
openai.api_key = os.environ.get("OPENAI_API_KEY")
client = OpenAI(api_key=os.environ["OPENAI_API_KEY"])
headers={"Authorization": f"Bearer {token}"}
headers={"Authorization": "Bearer " + token}
Authorization: Bearer YOUR_TOKEN_HERE
Authorization: Bearer <access_token>
Authorization: Bearer xxxxxxxxxxxxxxxx
Authorization: Basic <base64(user:pass)>
Authorization header is missing
Bearer authentication (also called token authentication) is an HTTP scheme
the bearer of the certificate-of-deposit
pall-bearers and standard-bearers
password must be at least 8 characters
Password requirements: uppercase, lowercase, digit
Forgot password? Reset it here.
password_reset_token_expires_at
password: Your password here
password: ******
password: [hidden]
passwords = load_passwords("list.txt")
"password": "<password>"
"password": "${PASSWORD}"
"password": "your_password"
"password": null
"password": true
"password_confirmation": "required"
password = input("Password: ")
password: string;
password: String
password VARCHAR(255) NOT NULL
if password == confirm_password:
user.password = generate_password_hash(password)
secret = "shh"
Victoria's Secret: Fashion Show 2016
The Secret: Dare to Dream
secret ingredient: cinnamon
Secret Service agents
session: 2024 spring
session_id: 4f3c2b1a-0000-4000-8000-123456789abc
"session_id": "sess_abc123"
conversation_id=conv_12345abcdef67890
"id":"chatcmpl-9XyZaBcDeFgHiJkLmNoPqRsTuVwXy"
"id": "msg_01XFDUDYJgAACzvnptvVoYEL"
"tool_call_id":"call_Jlkj3h4kj5h6kj7h8kj9"
"system_fingerprint": "fp_44709d6fcb"
"request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"
"signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"
commit 1a410efbd13591db07496601ebc7a059dd55cfe9
git checkout 1a410ef
index 83db48f..bf269f4 100644
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
sha512-abcDEF123==
integrity="sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC"
etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"
md5: 9e107d9d372bb6826bd81d3542a419d6
uuid: 123e4567-e89b-12d3-a456-426614174000
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==
doi: 10.1145/3397271.3401075
https://doi.org/10.18653/v1/2020.emnlp-main.550
ISBN-13: 978-0-262-03384-8
PMID: 12345678; PMCID: PMC1234567
arXiv:1706.03762
NCT01234567
BRCA1 c.68_69delAG (p.Glu23Valfs)
ENST00000357654.9
rs80357906
GSE12345, SRR1234567, PRJNA123456
C1=CC=C(C=C1)C(=O)O
(2S,3R,4S,5S,6R)-6-(hydroxymethyl)oxane-2,3,4,5-tetrol
1,1,1-trichloro-2,2-bis(4-chlorophenyl)ethane
UHFFFAOYSA-N
http://localhost:8080/path
http://user@example.com/
https://example.com:443/@user/post
https://twitter.com/user/status/1234567890123456789
ftp://anonymous@ftp.example.com/
mailto:a@b.com
git@github.com:user/repo.git
ssh://git@host:2222/repo.git
postgresql://localhost:5432/db
postgres://user:password@localhost:5432/mydb
redis://localhost:6379/0
mongodb://<username>:<password>@cluster.mongodb.net
jdbc:mysql://localhost:3306/db?user=root&password=
http://a.com:b@c
"a@b.com:c@d.com"
https://a.com/x?y=z:w@v
time 12:30:45, ratio 3:2, 10:00-11:00
1234567890:abc
sk-learn-contrib-lightning-examples-2024
scikit-learn (sk-learn) 1.5.0
sk-SK locale
risk-averse-decision-making-under-uncertainty
https://www.sk-knihy.cz/sk-encyklopedia-2020-edition
hf_hub_url, hf_hub_download
hf_transfer==0.1.8
ghp_import==2.1.0
npm_lifecycle_event
pypi-attestations==0.0.12
r8_unorm texture format
xai-org/grok-1
gsk_annual_report_2023
SG.UN region
eyJ is the base64 prefix of JSON
eyJhbGciOi...
AIzaSy... (truncated)
AKIA...
AKIA is the prefix for access keys
-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 user@host
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS
| API key | Description |
| `token` | string | Access token |
- **Password**: The user's password
* token: identifies the session
`password` (string, required): the password
# API_KEY goes here
# secret key
key1=value1&key2=value2
?q=secret+garden&page=2
?query=token+ring&type=key
q=password%3A+reset
"query": "what is an api key"
"queries": ["api key best practices", "password: how to store"]
What is the password: a history of passwords
Q: What's the secret? A: practice.
Key: D minor
Answer key: 1B 2C 3A 4D
Token: ERC-20
"token": "USDC"
"token_address": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
tokens/s: 123.45
x-api-key: <key>
X-API-Key header
cookie policy: we use cookies
Cookie: name=value
Set-Cookie: <cookie-name>=<cookie-value>
credentials: include
credentials: 'same-origin'
auth: required
"auth": {"type": "bearer"}
auth=("user", "pass")
login: ada
pass: 12, fail: 3
pass=True
bypass: enabled
compass: north
passing: yes
passport: AB1234567
"passage": "the text"
passkey: supported
keypass: database
hotkeys=ctrl+c
monkey=banana
keyword=retrieval2024evaluation
keywords: dense retrieval, agents
"keyword": "password123"
"""
HARMLESS = (*HARMLESS, *sorted({*MORE_HARMLESS.strip().splitlines()} - {*HARMLESS}))


def json_texts(text: str) -> dict[str, str]:
    """A text as it stands in other texts."""
    compact = json.dumps({"text": text, "n": 1}, separators=(",", ":"))
    return {
        "JSON": json.dumps([text, {"a": text}]),
        "compact": compact,
        "nested": json.dumps({"x": compact}),
        "repr": repr([text]),
    }
