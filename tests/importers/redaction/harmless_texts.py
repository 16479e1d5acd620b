r"""Harmless texts, of which some look like secrets: none of them is to change."""

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
HARMLESS = (*HARMLESS, *MORE_HARMLESS.strip().splitlines())
