"""What each rule takes for a secret, and what it passes over; its signs as grep reads them.

The samples are put together here, so that no scanner takes this file for a leak.
"""

import random
import string
import subprocess

import pytest

from baker.recipe import SECRET_KINDS
from baker.seal.rules import RULES, Rule
from baker.seal.scan import RECIPES_OWN

_RANDOM = random.Random(1)


def some(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(length))


UPPER, HEX, BASE64 = string.ascii_uppercase + "234567", "0123456789abcdef", string.ascii_letters + string.digits + "+/"
KEY = f"-----BEGIN {{}}PRIVATE KEY-----\n{some(64, BASE64)}\n{some(64, BASE64)}\n-----END {{}}PRIVATE KEY-----\n"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ." + some(43)
UUID = "-".join(some(count, HEX) for count in (8, 4, 4, 4, 12))

SECRETS: dict[str, tuple[str, ...]] = {
    "AWS key": (
        f"key = AKIA{some(15, UPPER)}4",
        f"aws_secret_access_key = {some(40, BASE64)}",
        f'"AWS_SESSION_TOKEN": "{some(200, BASE64)}"',
    ),
    "Azure key": (
        f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={some(86, BASE64)}==;",
        f"client_secret: {some(3)}8Q~{some(34)}",
        f"https://x.blob.core.windows.net/c?sv=2024-01-01&sig={some(43)}%3D",
        f"Endpoint=sb://x;SharedAccessKey={some(43, BASE64)}=",
    ),
    "Google Cloud key": (
        f"AIza{some(35)}",
        f"GOCSPX-{some(28)}",
        f'"refresh_token": "1//0{some(60)}"',
        f"ya29.{some(90)}",
    ),
    "GitHub token": (f"ghp_{some(36)}", f"token github_pat_{some(22)}_{some(59)}"),
    "GitLab token": (f"glpat-{some(20)}", f"PRIVATE-TOKEN: glrt-{some(20)}"),
    "Hugging Face token": (f"HF_TOKEN=hf_{some(34, string.ascii_letters)}",),
    "Jupyter token": (
        "c.ServerApp.token = 'f00d-f00d'",
        "ExecStart=/opt/jupyter lab --IdentityProvider.token=f00df00d",
        "export JUPYTER_TOKEN=f00df00d",
        '  "hashed_password": "argon2:$argon2id$v=19$m=10240,t=10,p=8$' + some(22) + '"',
    ),
    "Slack token": (f"xoxb-{some(12, string.digits)}-{some(24)}", f"https://hooks.slack.com/services/T{some(8)}/B{some(8)}/{some(24)}"),
    "package index token": (
        f"password = pypi-AgEIcHlwaS5vcmc{some(120)}",
        f"//registry.npmjs.org/:_authToken=npm_{some(36)}",
        f'"url": "https://conda.anaconda.org/t/co-{UUID}/x/noarch"',
    ),
    "password hash": (
        f"root:$6${some(8)}${some(86)}:19000:0:99999:7:::",
        f"ada:!$y$j9T${some(22)}${some(43)}:19000::::::",
    ),
    "password in a file": (
        'password = "corr3ct-h0rse"',
        '  "session = login(user, pwd=\\"corr3ct-h0rse\\")\\n",',
        "db_password: corr3ct-h0rse",
        f"export CDS_API_TOKEN={some(20)}7",
        'auth["secret"] = "S3cretS3cret"',
        f"client_secret: str = '{some(30)}4'",
    ),
    "password in a URL": (
        "url = https://ada:h7Gk2pQz@github.com/x/y.git",
        f"https://oauth2:{some(20)}@gitlab.institute.org/x.git",
        "postgresql://:corr3ct-h0rse@10.0.0.7:5432/x",
        "proxy=http://ada:S3cret!$&'@proxy:3128/".replace("'", ""),
    ),
    "private key": (
        KEY.format("", ""),
        KEY.format("OPENSSH ", "OPENSSH "),
        KEY.format("RSA ", "RSA "),
        KEY.format("ENCRYPTED ", "ENCRYPTED "),
        '{"private_key": "' + KEY.format("", "").replace("\n", "\\n") + '"}',
        f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES,{some(16, HEX)}\n\n{some(64)}\n",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{some(64)}\n",
        "PuTTY-User-Key-File-3: ssh-ed25519\n",
    ),
    "service token": (
        f"sk-proj-{some(20)}T3BlbkFJ{some(20)}",
        f"sk-ant-api03-{some(93)}",
        f"SG.{some(22)}.{some(43)}",
        f"sk_live_{some(24)}",
    ),
    "web token": (f"Authorization: Bearer {JWT}",),
}  # fmt: skip

NO_SECRETS: dict[str, tuple[str, ...]] = {
    "AWS key": (
        "AKIAIOSFODNN7" + "EXAMPLE",
        "primer ACCAGGTTAACCGGTTAACC of twenty bases",
        "ACCAGGTTAACCGGTTAACCGGTTAACCGGTTAACC",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        f"x{some(30, BASE64)}AKIA{some(16, UPPER)}{some(30, BASE64)}",
    ),
    "Azure key": ("https://x/c?sig=abc", "AccountKey=${KEY}"),
    "Google Cloud key": ("AIzaSy...", f"{some(10)}AIza{some(60)}"),
    "GitHub token": ("ghp_xxxx", "github_pat_..."),
    "Jupyter token": (
        "c.ServerApp.token = ''",
        "# c.ServerApp.token = '<DEFAULT>'",
        "--ServerApp.token=''",
        "JUPYTER_TOKEN=${TOKEN}",
        "c.ServerApp.token = os.environ['X']"[:20],
    ),
    "package index token": ("//registry.npmjs.org/:_authToken=${NPM_TOKEN}",),
    "password hash": ("root:*:19000:0:99999:7:::", "ada:!:19000::::::"),
    "password in a file": (
        'token = "next_token"',
        'password = "your_passw0rd"',
        "password = getpass.getpass()",
        'password = os.environ["P4SSWORD"]',
        "password: ${PASSW0RD}",
        'secret_name = "prod/database1"',
        "token: Optional[str]",
        'token_url = "https://x.org/oauth2/token"',
        'password = "password1"',
        "PWD=/home/ada/x1",
    ),
    "password in a URL": (
        "https://user:password@example.com/",
        "http://$USER:$PASSWORD@proxy:80",
        "https://{user}:{password}@host",
        "https://user:***@host.org",
        "https://ada:your_password@github.com",
        "https://ada@github.com/x",
        "see http://a.org:80/x and mail c@d.org",
        "scheme://user:xxxx@somewhere.org",
    ),
    "private key": (
        '_START = b"-----BEGIN OPENSSH PRIVATE KEY-----"\n_END = b"-----END OPENSSH PRIVATE KEY-----"\n',
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n" + some(64),
        "-----BEGIN PUBLIC KEY-----\n" + some(64),
        "-----BEGIN CERTIFICATE-----\n" + some(64),
    ),
    "web token": ("eyJhbGciOiJIUzI1NiJ9.not.one", f"eyJ{some(20)}.eyJ{some(20)}"),
}

NAMES = (
    "/root/.netrc",
    "/home/ada/.aws/credentials",
    "/home/ada/.aws/sso/cache/0.json",
    "/root/.azure/msal_token_cache.json",
    "/root/.config/gcloud/application_default_credentials.json",
    "/home/ada/.kaggle/kaggle.json",
    "/root/.cdsapirc",
    "/root/.git-credentials",
    "/root/.config/gh/hosts.yml",
    "/root/.cache/huggingface/token",
    "/root/.docker/config.json",
    "/srv/keys/service.p12",
    "/root/.local/share/jupyter/runtime/jupyter_cookie_secret",
    "/root/.pypirc",
    "/etc/apt/auth.conf.d/private.conf",
    "/root/.kube/config",
    "/root/.config/rclone/rclone.conf",
)

OTHER_NAMES = (
    "/etc/netrc.example",
    "/home/ada/.aws/config",
    "/etc/ssl/certs/ca.pem",
    "/srv/token",
    "/srv/.docker/config.json.bak",
    "/root/.cache/huggingface/tokenizer",
)

BY_KIND = {rule.kind: rule for rule in RULES}


def seen_by_grep(rule: Rule, text: str) -> bool:
    signs = "\n".join(rule.signs)
    found = subprocess.run(
        ["grep", "-aqE", "-e", signs], input=text.encode(), env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=False
    )
    assert found.returncode in (0, 1)
    return found.returncode == 0


def path_for(rule: Rule) -> str:
    return "/etc/shadow" if rule.only_in else "/srv/file"


def cases(samples: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(kind, text) for kind, texts in samples.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), cases(SECRETS))
def test_a_secret_is_seen_by_grep_and_taken_by_its_rule(kind: str, text: str) -> None:
    rule = BY_KIND[kind]
    assert seen_by_grep(rule, text.splitlines()[0])
    assert rule.finds_in(path_for(rule), text)


@pytest.mark.parametrize(("kind", "text"), cases(NO_SECRETS))
def test_what_only_looks_like_one_is_passed_over(kind: str, text: str) -> None:
    rule = BY_KIND[kind]
    assert not rule.finds_in(path_for(rule), text)


def test_every_kind_has_a_sample_and_a_name_in_the_recipe_s_words() -> None:
    assert set(SECRETS) | {"credentials file"} == set(BY_KIND)
    assert sorted([*BY_KIND, RECIPES_OWN]) == sorted(SECRET_KINDS)


@pytest.mark.parametrize("path", NAMES)
def test_a_file_that_is_a_secret_by_its_name(path: str) -> None:
    assert [rule.kind for rule in RULES if rule.finds_name(path)] == ["credentials file"]


@pytest.mark.parametrize("path", OTHER_NAMES)
def test_a_file_with_a_name_like_it(path: str) -> None:
    assert not [rule.kind for rule in RULES if rule.finds_name(path)]


def test_the_names_mean_the_same_to_grep() -> None:
    names = "\n".join(name for rule in RULES for name in rule.names)
    lines = "\n".join((*NAMES, *OTHER_NAMES))
    found = subprocess.run(["grep", "-E", "-e", names], input=lines, capture_output=True, text=True, check=True)
    assert found.stdout.split() == list(NAMES)


def test_a_password_hash_counts_only_where_accounts_are_kept() -> None:
    (text, *_) = SECRETS["password hash"]
    assert not BY_KIND["password hash"].finds_in("/srv/notes.txt", text)


def test_a_password_in_other_people_s_code_is_passed_over() -> None:
    (text, *_) = SECRETS["password in a file"]
    for folder in ("/usr/share/doc", "/opt/conda/lib/python3.11/site-packages/x", "/opt/conda/conda-meta"):
        assert not BY_KIND["password in a file"].finds_in(f"{folder}/file.py", text)
    for folder in ("/usr/local/bin", "/srv/notebooks", "/opt/tool"):
        assert BY_KIND["password in a file"].finds_in(f"{folder}/file.py", text)


def test_a_line_of_megabytes_costs_no_minutes() -> None:
    line = "//x/ " * 400_000 + f"ghp_{some(36)}"
    assert BY_KIND["GitHub token"].finds_in("/srv/app.min.js", line)
    assert not BY_KIND["package index token"].finds_in("/srv/app.min.js", line)
