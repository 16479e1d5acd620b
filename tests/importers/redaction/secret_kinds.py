"""Secrets of many kinds, to measure redaction with.

Every secret is drawn at random when it is needed and its prefix is put together here, so that scanners of this
repository find nothing.
"""

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
    return cases
