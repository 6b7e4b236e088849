"""No credential reaches a file, whatever it hides behind; and nothing else is touched."""

from __future__ import annotations

import base64
import cProfile
import gzip
import json
import re
import secrets
from functools import partial
from itertools import pairwise
from urllib.parse import parse_qs, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_llmcache.exceptions import LLMCacheError
from django_llmcache.recorder.exchange import Chunk, Incoming, Outgoing
from django_llmcache.recorder.leaks import leaks
from django_llmcache.recorder.matcher import Matcher
from django_llmcache.recorder.redaction import REDACTED, Redactor, SecretError
from tests.recordings import load_all

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)
LINES = (("content-type", "application/x-ndjson"),)
WORD = "Zx81Qm47Kp92Lw36Bv58"

# Taken apart, so that no scanner of this repository mistakes them for real ones.
TOKENS = {
    "openai": "sk-" + WORD * 2,
    "openai-project": "sk-proj-" + WORD + "_" + WORD + "-x",
    "anthropic": "sk-ant-" + "api03-" + WORD * 4 + "-AA",
    "openrouter": "sk-or-" + "v1-" + "0a1b2c3d" * 8,
    "groq": "gsk_" + WORD * 2,
    "xai": "xai-" + WORD * 4,
    "google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4-_5",
    "google-oauth": "ya29." + "a0" + WORD + "-" + WORD,
    "google-refresh": "1//0" + WORD + "-" + WORD,
    "hugging-face": "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "github": "ghp_" + WORD * 2,
    "github-server": "ghs_" + WORD * 2,
    "github-fine": "github_pat_" + WORD + "_" + WORD,
    "gitlab": "glpat-" + WORD,
    "slack": "xoxb-" + "123456789012-" + WORD,
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws-session": "ASIA" + "IOSFODNN7EXAMPLE",
    "bedrock": "ABSK" + WORD * 4 + "==",
    "stripe": "sk_live_" + WORD,
    "replicate": "r8_" + WORD * 2,
    "perplexity": "pplx-" + WORD * 2,
    "nvidia": "nvapi-" + WORD * 3,
    "pinecone": "pcsk_" + WORD + "_" + WORD,
    "realtime": "ek_" + WORD * 2,
    "langsmith": "lsv2_pt_" + WORD + "_0a1b2c",
    "databricks": "dapi" + "0a1b2c3d" * 4,
    "discord": "MTIz" + WORD + ".Ga1b2c." + WORD + "Ab3dE9f",
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + WORD * 2,
    "telegram": "1234567890:" + "AA" + (WORD * 2)[:33],
    "telegram-in-an-address": "bot1234567890:" + "AA" + (WORD * 2)[:33],
    "twilio": "SK" + "0a1b2c3d" * 4,
    "voyage": "pa-" + (WORD * 3)[:43],
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0In0." + WORD + "_-x",
    "private-key": "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIE" + WORD + "\n-----END RSA PRIVATE" + " KEY-----",
}
HARMLESS = [
    "Bearer tokens are sent in the Authorization header.",
    "Basic understanding is enough; the basic authentication-scheme is not.",
    "The secret of a good cake is a password to success: patience.",
    "a task-based, risk-averse, disk-intensive approach; sk-learn is fine",
    "xai-grok-4-fast-reasoning pplx-70b-chat hf_hub_download_something r8_t",
    "pa-2024-annual-report-of-the-association-of-states MyVeryLongModuleNameOfMine.client.AndTheClassThatIsInItIndeed",
    "mail me@example.org or https://example.org:8080/me@home and http://localhost:3000",
    "https://example.com/@user/x https://example.com/a:b@c/d http://[::1]:8080/@me",
    "http://localhost:80?to=me@example.org http://localhost:8080#@me docker://a:1/b@sha256:0a1b",
    "fetch(`http://localhost:${port}/@vite/client`) http://localhost:{port}/@me http://localhost:PORT/@me file:///c:/a@b",
    "git+ssh://git@github.com:django/django.git@main git@github.com:a/b.git mailto:me@example.org ssh://git@host/a:b@c",
    "https://example.org/page?page=2&max_tokens=100&sort=key&tokens=5&keyword=a1b2c3d4e5f6",
    "chatcmpl-BkYtHxq1Z3gq0F3vJtQ8o9p1 req_011CRbXxLLnRT7FYiRdsa3YF toolu_01A09q90qw90lq917835lq9",
    "2f1c1d8e-92d4-4f0a-9d52-3b0d4e5a6c7b 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "if (a && key == b) { c = x?key:y; } SELECT token FROM t WHERE secret = 'x'",
    "OPENAI_API_KEY=your-api-key-here-2024, api_key = 'changeme' or <token-of-2024-and-mine>; token: authentication-2",
    "api_key=os.environ['OAUTH2_API_KEY_1'] password=${DB_PASSWORD_OF_2024_A1} token={token_2_of_the_user_1}",
    "password=settings.S3_DATABASE_PASSWORD token = client.issue_token_v2_for_user(1) secret: projects/my-1/secrets/2",
    "max_tokens: 100, next_token: q8Zt3LmP0vXy7KdR2sWb, id=q8Zt3LmP0vXy7KdR2sWb, token: gpt-4o-mini-2024-07-18",
    "password: correct-horse-battery-staple-42",
    "f(password='', second_argument_2x=b) api_key = '{{API_KEY_OF_2024_A1}}' token: 'issue_token_v2_for_user(1)'",
    "password: '^[a-z]+(one|two){2,3}(?=a1)[!@#$%^&*]+$' secret='https://a.example/b?c=1&d=2#e%20f=(g)+h*2'",
]
RANDOM = "q8Zt3LmP0vXy7KdR2sWb"
ASSIGNMENTS = [
    "OPENAI_API_KEY=%s", "api_key: %s", "password=%s", "token=%s", "DB_PASSWORD=%s", "export AWS_SECRET_ACCESS_KEY=%s",
    "a\npassword: %s\nb", "{'password': '%s'}", "DATABASE_PASSWORD: %s.", 'token = "%s"', "(api_key='%s', b=1)",
    "My API key: %s, keep it", "**API key:** %s", "`client_secret`: `%s`", "os.environ['X_API_KEY'] = '%s'",
    'api_key:="%s"', "--api-key=%s", "é password: %s é", "self.token = '%s'",
]  # fmt: skip

# Made with django.core.management.utils.get_random_secret_key.
DJANGO_KEYS = [
    "_*)jq*%gu!kb00egiu4@20nmu%*vv1f%75zfn!pcmgfmq(+st(",
    "qk$hbr-oo!pda^$tri(^v#_2j%r91kkz-h(i)@1woh#d7m1llf",
    "hsa^u*_z37++_d&kh39vae!=gfvq^f&)t&cbmo66(akb&=7iti",
    "0rgygnpmogti9yi^f25alm%tzgsnx$tj*_gardyx=sz3ge!4na",
    "(_7e+9$v-alrs#gacn=n$z(#f@xs2d^i$y9zzqa)3f@5uo)ms2",
    "t%shsk=khxpjh#nu8ho5(!0pru37*1&66qkvd&p!=v&521t4m!",
    "$hvq)p0sru%v_^grcbk_c$kcv2_-lu-6)msjv%a7efk%)--ivu",
    "!fx=7a2)j#ejo5@3$mzrsvbkkxy9(+%%@m4$gd9q848a=_y2s&",
    "d#jludlg2+)-&(do91a7!fmpww*5@7f_*im_9uyrt#2wl8*_l=",
]
SECRET_LINES = [
    "SECRET_KEY = 'django-insecure-%s'", "SECRET_KEY = '%s'", 'SECRET_KEY = "%s"', "SECRET_KEY=%s", "SECRET_KEY: '%s',",
    "export DJANGO_SECRET_KEY=%s", "{'secret_key':'%s'}", 'os.environ["SECRET_KEY"] = "%s"', 'SECRET_KEY = """%s"""',
]  # fmt: skip


def request_of(body=b"", *, url=URL, headers=JSON):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Outgoing("POST", url, tuple(headers), data)


def answer_of(*pieces, headers=JSON):
    data = [piece if isinstance(piece, bytes) else json.dumps(piece).encode() for piece in pieces]
    return Incoming(200, "OK", tuple(headers), tuple(Chunk(10.0 * number, piece) for number, piece in enumerate(data)))


def sent(body, **words):
    return json.loads(Redactor().request(request_of(body, **words)).body)


def answered(body):
    return json.loads(Redactor().response(answer_of(body)).body)


def kept(pairs):
    return {name for name, _ in pairs}


class TestHeaders:
    def test_of_a_request_only_those_of_the_list_are_kept(self):
        headers = {
            "accept": "text/event-stream", "content-type": "application/json", "anthropic-version": "2023-06-01",
            "anthropic-beta": "tools", "openai-beta": "assistants=v2", "authorization": "Bearer x", "x-api-key": "x",
            "api-key": "x", "x-goog-api-key": "x", "cookie": "a=b", "openai-organization": "org", "user-agent": "x",
            "openai-project": "p", "x-amz-security-token": "x", "x-stainless-os": "Linux", "x-nobody-knows": "x",
        }  # fmt: skip

        assert kept(Redactor().request(request_of(headers=headers.items())).headers) == {
            "accept", "content-type", "anthropic-version", "anthropic-beta", "openai-beta",
        }  # fmt: skip

    def test_of_an_answer_what_sdks_read_is_kept_and_nothing_else(self):
        read = {
            "Content-Type", "Retry-After", "retry-after-ms", "x-should-retry", "x-request-id", "request-id",
            "openai-version", "openai-processing-ms", "openai-model", "anthropic-ratelimit-tokens-remaining",
            "x-ratelimit-reset-requests", "x-amzn-requestid", "x-amzn-errortype", "x-goog-upload-url", "location",
        }  # fmt: skip
        others = {
            "Set-Cookie", "authorization", "x-api-key", "openai-organization", "openai-project", "cf-ray", "date",
            "anthropic-organization-id", "server", "x-nobody-knows", "www-authenticate",
        }  # fmt: skip

        redacted = Redactor().response(answer_of({}, headers=[(name, "x") for name in sorted(read | others)]))

        assert kept(redacted.headers) == read

    def test_headers_of_one_name_stay_apart_and_in_order(self):
        pairs = (("x-request-id", "b"), ("retry-after", "1"), ("x-request-id", "a"))

        assert Redactor().response(answer_of({}, headers=pairs)).headers == pairs

    def test_the_value_of_a_kept_header_is_redacted_too(self):
        pairs = (("location", f"https://a.example/b?sig={WORD}&c=1"), ("x-request-id", TOKENS["groq"]))

        assert Redactor().response(answer_of({}, headers=pairs)).headers == (
            ("location", "https://a.example/b?c=1"),
            ("x-request-id", REDACTED),
        )

    def test_the_words_beside_the_status_are_redacted_too(self):
        redactor = Redactor()
        redactor.request(request_of(headers=[("authorization", "Bearer of-my-own-make")]))
        answer = answer_of({})._replace(reason=f"No such key {TOKENS['groq']} or of-my-own-make")

        redacted = redactor.response(answer)

        assert redacted.reason == f"No such key {REDACTED} or {REDACTED}"
        assert leaks(answer) == redactor.left(request_of(), answer) == ["response.reason"]
        assert leaks(redacted) == redactor.left(request_of(), redacted) == []

    def test_the_lists_can_be_others(self):
        redactor = Redactor(request_headers=["x-mine"], response_headers=["x-ours"], response_prefixes=["x-all-"])

        assert kept(redactor.request(request_of(headers=[("x-mine", "a"), ("accept", "b")])).headers) == {"x-mine"}
        answer = redactor.response(answer_of({}, headers=[("x-ours", "a"), ("x-all-1", "a"), ("retry-after", "b")]))
        assert kept(answer.headers) == {"x-ours", "x-all-1"}


class TestAddress:
    @pytest.mark.parametrize(
        "name",
        ["key", "KEY", "api_key", "api-key", "apiKey", "access_token", "refresh_token", "token", "signature", "sig",
         "client_secret", "password", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Date",
         "X-Goog-Signature", "AWSAccessKeyId", "subscription-key"],
    )  # fmt: skip
    def test_a_credential_in_the_query_is_left_out(self, name):
        for query in (f"alt=sse&{name}=abc", f"{name}=abc&alt=sse", f"{name}=a&alt=sse&{name}=b"):
            assert Redactor().request(request_of(url=f"{URL}?{query}")).url == f"{URL}?alt=sse"
        assert Redactor().request(request_of(url=f"{URL}?{name}=abc")).url == URL

    @pytest.mark.parametrize(
        "query",
        ["alt=sse&api-version=2024-02-01&pageToken=abc", "a=b%20c&d", "b=2&a=1&&c=", "x-google-lang=de&x-amz-acl=a"],
    )
    def test_the_rest_of_the_query_stays_as_it_is(self, query):
        assert Redactor().request(request_of(url=f"{URL}?{query}")).url == f"{URL}?{query}"

    def test_user_password_and_fragment_are_left_out(self):
        assert Redactor().request(request_of(url="https://me:word@a.example/b#c")).url == "https://a.example/b"
        assert Redactor().request(request_of(url="https://me@a.example/b/d@c")).url == "https://a.example/b/d@c"

    def test_a_token_in_the_path_is_redacted(self):
        assert Redactor().request(request_of(url=f"https://a.example/{TOKENS['openai']}/b")).url == (
            "https://a.example/REDACTED/b"
        )


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["api_key", "apikey", "apiKey", "API_KEY", "x-api-key", "OPENAI_API_KEY", "authorization", "Authorization",
         "access_token", "accessToken", "refresh_token", "id_token", "client_secret", "clientSecret", "password",
         "db_password", "passwd", "private_key", "aws_secret_access_key", "session_token", "secret", "pwd"],
    )  # fmt: skip
    def test_a_field_of_a_credential_is_redacted_at_any_depth(self, name):
        body = {"a": [{"b": {name: "swordfish", "c": "swordfish"}}], name: "swordfish"}
        expected = {"a": [{"b": {name: REDACTED, "c": "swordfish"}}], name: REDACTED}

        assert sent(body) == expected
        assert answered(body) == expected

    @pytest.mark.parametrize("name", ["token", "auth", "jwt", "credential", "session_key"])
    def test_a_field_that_may_be_something_else_is_redacted_where_it_looks_random(self, name):
        assert answered({name: "Hello", "a": {name: WORD}}) == {name: "Hello", "a": {name: REDACTED}}

    def test_a_cookie_is_redacted_and_a_biscuit_is_not(self):
        assert answered({"cookie": f"sid={WORD}; path=/"}) == {"cookie": REDACTED}
        assert answered({"cookie": "chocolate=chip, please"}) == {"cookie": "chocolate=chip, please"}

    @pytest.mark.parametrize(
        "body",
        [
            {"max_tokens": 100, "usage": {"total_tokens": 5, "prompt_tokens": 3, "token_type": "bearer"}},
            {"logprobs": {"content": [{"token": "Hello", "bytes": [72, 101], "top_logprobs": [{"token": " world"}]}]}},
            {"logprobs": {"tokens": ["sk", "-", "learn"]}},
            {"nextPageToken": "Cgptb2RlbHMvYXFh1b2c3d4e5f6", "prompt_cache_key": WORD, "storage_key": "a/b1"},
            {"secret": "the treasure is below the tree", "forgot_password": "Forgot your password?"},
            {"tools": [{"parameters": {"properties": {"password": {"type": "string"}}, "required": ["password"]}}]},
            {"password": "", "api_key": None, "secret": False, "token": None},
            {"api_key": {"type": "string", "description": "the key"}, "author": "me", "authority": "x"},
        ],
        ids=str,
    )
    def test_what_only_sounds_like_one_is_left_alone(self, body):
        answer = answer_of(body)

        assert Redactor().response(answer) == answer
        assert leaks(answer) == []

    @pytest.mark.parametrize("value", [12345678, -1.5])
    def test_a_number_is_redacted_too(self, value):
        assert answered({"password": value, "n": value}) == {"password": REDACTED, "n": value}

    def test_a_list_of_credentials_is_redacted_item_by_item(self):
        assert answered({"api_keys": ["a1", "b2"], "passwords": [["c3"]]}) == {
            "api_keys": [REDACTED, REDACTED],
            "passwords": [[REDACTED]],
        }

    def test_the_value_inside_an_object_of_a_credential_is_redacted(self):
        body = {"client_secret": {"value": "ephemeral", "expires_at": 5}}

        assert answered(body) == {"client_secret": {"value": REDACTED, "expires_at": 5}}

    @pytest.mark.parametrize(
        "body",
        [
            {"mcp_servers": [{"type": "url", "authorization_token": "%s"}]},
            {"authConfig": {"apiKeyConfig": {"apiKeyString": "%s"}}},
            {"parameters": {"authentication": {"type": "api_key", "key": "%s"}}},
            {"parameters": {"authentication": {"type": "key_and_key_id", "key_id": "a", "key": "%s"}}},
        ],
        ids=["anthropic-mcp", "gemini-maps", "azure-search", "azure-elasticsearch"],
    )
    @pytest.mark.parametrize("value", ["correct-horse-battery", WORD])
    def test_where_providers_have_the_credentials_of_others_they_are_redacted(self, body, value):
        text = json.dumps(body)

        assert json.dumps(sent(json.loads(text % value))) == text % REDACTED

    def test_a_field_with_a_credential_in_it_is_redacted_as_a_whole(self):
        """What would be left around it might pass for one."""
        assert answered({"my_password": f"<{TOKENS['private-key']}>"}) == {"my_password": REDACTED}

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_json_in_a_string_is_read_too(self, depth):
        def wrapped(password):
            value = json.dumps({"user": "é\n", "password": password})
            for _ in range(depth):
                value = json.dumps({"arguments": value}, ensure_ascii=depth % 2 == 0)
            return value

        answer = Redactor().response(answer_of(wrapped("hunter2").encode()))

        assert answer.body == wrapped(REDACTED).encode()

    @pytest.mark.parametrize(
        "text",
        [
            '```json\n{"password": "%s"}\n```',
            'Here: {"n": [1, {"api_key" : "%s"}]} – and é "more"',
            '<arg>{"client_secret": {"n": 1, "value": "%s"}}</arg>',
            'It is 5" long, and {"a then {"password": "%s", "b": null}',
            '[1] It is 5" long: {"password": "%s"}',
            '"name": "me",\n"password": "%s",',
            ': see\n{"passwords": [\n"%s"\n]}',
            'data: this\n\n{"client_secret": {\n"n": 1, "value": "%s"}}\n\nevent: that',
            'Call f({model: x, "password": "%s"}) // "now"',
            json.dumps('{"password": "%s"}'),
            "Say " + json.dumps({"text": 'say {"password": "%s"}'}),
            'Files are in "C:\\Users\\me\\" and the config is {"password": "%s", "user": "me"}',
            'It is in "C:\\app\\".\n```json\n{"client_secret": "%s"}\n```',
            'He said "ok", then ran -H \'A: \\"b\\"\' -d \'{"password": "%s"}\'',
            'So {"path": "C:\\app\\", "password": "%s"}',
            'So "secrets": {"path": "C:\\app\\", or "D:", "password": "%s"}',
            'So "secrets": {"\\\\host\\", {\\"password\\": \\"%s\\"}',
            'So "secrets": {it is 5" wide, "password": "%s"}',
            'So "secrets": {"C:\\app\\", " { /"\\s*:/ {"password": "%s"}',
            'So "api_keys": [getenv("REDACTED"), "%s"]',
            'So "api_keys": ["REDACTED", "%s"',
            'So "secrets": [\\"now\\", {\\"password\\": \\"%s\\"}]',
            '"C:\\app\\" is in \'{\\"path\\": \\"C:\\é\\", \\"password\\": \\"%s\\"}\'',
            '"C:\\app\\" is in {"p\\u0061ssword": "%s"}',
            *('{"password": "%s"} ends here'.replace('"', "\\" * level + '"') for level in (1, 3, 7)),
        ],
    )
    def test_json_within_a_text_is_read_too(self, text):
        body, clean = ({"content": text % password} for password in ("hunter2", REDACTED))

        assert sent(body) == answered(body) == clean
        assert Redactor().text(text % "hunter2") == text % REDACTED
        assert leaks(answer_of(body)) == ["response.body.content"]
        plain = answer_of((text % "hunter2").encode(), headers=[("content-type", "text/plain")])
        assert Redactor().response(plain).body == (text % REDACTED).encode()

    def test_half_a_surrogate_pair_before_it_hides_nothing(self):
        text = '\ud83d {"password": "%s"}'

        assert answered({"content": text % "hunter2"}) == {"content": text % REDACTED}

    def test_prose_behind_a_bracket_is_read_as_text(self):
        answer = answer_of(f"[Note] {TOKENS['groq']}!".encode(), headers=[("content-type", "text/plain")])

        assert Redactor().response(answer).body == b"[Note] REDACTED!"

    @pytest.mark.parametrize(
        "text",
        ['"token":[', '"password": {', '"a":"', '\\"', '"\\"', '{"a":"b\\"', '"api_key": "x" ', "\\\\", '\\"\\q',
         '"\\ ', '"token": {"C:\\", ', '"token": [x\\"', '"token": {"\\"', '"token": ["x" a ', '"x" a '],
    )  # fmt: skip
    def test_the_time_grows_as_the_text_does(self, text):
        def steps(times):
            profile = cProfile.Profile()
            body = json.dumps({"token": "x", "content": "So: " + text * times}).encode()
            profile.runcall(Redactor().request, request_of(body))
            return sum(entry.callcount for entry in profile.getstats())

        assert steps(2000) < 12 * steps(200)

    def test_a_long_run_of_backslashes_is_gone_through_once(self):
        """This ends at all: where each of them is tried against all behind it, that is not within minutes."""
        body = rb'{"url":"<\/p>' + b"\\" * 1_000_000 + b'"}'

        assert Redactor().request(request_of(body)).body == body

    def test_json_behind_a_byte_order_mark_is_read_too(self):
        body = b"\xef\xbb\xbf" + json.dumps({"a": "\ufeff" + json.dumps({"password": "hunter2"})}).encode()
        request, answer = request_of(body), answer_of(body)

        assert (
            Redactor().request(request).body
            == Redactor().response(answer).body
            == body.replace(b"hunter2", b"REDACTED")
        )
        assert leaks(request) == ["request.body.a"]

    def test_fields_of_forms_are_redacted_by_name(self):
        form = Outgoing(
            "POST", URL, (("content-type", "application/x-www-form-urlencoded"),), b"a=1&client_secret=x%20y"
        )
        body = b'--x\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nhunter2\r\n--x--\r\n'
        parts = request_of(body, headers=[("content-type", "multipart/form-data; boundary=x")])

        assert Redactor().request(form).body == b"a=1&client_secret=REDACTED"
        assert Redactor().request(parts).body == body.replace(b"hunter2", b"REDACTED")

    @pytest.mark.parametrize(
        "disposition",
        [
            'name="file"; filename="a.json"',
            'name="file"',
            'filename="a.jsonl"; name="file"',
            'name="api_key"; filename="k"',
        ],
    )
    @pytest.mark.parametrize(
        "content",
        [
            '{"n": {"api_key": "hunter2"}}',
            '{"a": 1}\n{"password": "hunter2"}\n',
            '\ufeff{"password": "hunter2"}',
            "[]",
        ],
    )
    def test_parts_of_a_form_are_redacted_by_what_is_in_them(self, disposition, content):
        body = (
            f"--x\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: application/json\r\n\r\n"
            f"{content}\r\n--x--\r\n"
        )
        request = request_of(body.encode(), headers=[("content-type", "multipart/form-data; boundary=x")])

        redacted = Redactor().request(request)

        assert b"hunter2" not in redacted.body
        assert ("hunter2" in content or "api_key" in disposition) == (b"REDACTED" in redacted.body)
        assert bool(leaks(request)) == (b"REDACTED" in redacted.body)
        assert leaks(redacted) == []

    @pytest.mark.parametrize("encode", [quote, quote_plus, lambda text: quote(text, safe="{}: '/")])
    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            ('{"text": "é / +", "password": "hunter2"}', '{"text": "é / +", "password": "REDACTED"}'),
            ('[{"text": "é ' + TOKENS["groq"] + ' é"}]', '[{"text": "é REDACTED é"}]'),
            ('{"' + TOKENS["groq"] + '": 1}', '{"REDACTED": 1}'),
            ('{"text": "100 %", "max_tokens": 5}', '{"text": "100 %", "max_tokens": 5}'),
        ],
    )
    def test_json_in_a_field_of_a_form_is_redacted_where_a_credential_stands(self, encode, payload, expected):
        body = f"a=1&payload={encode(payload)}&b=2".encode()
        request = request_of(body, headers=[("content-type", "application/x-www-form-urlencoded")])

        redacted = Redactor().request(request)

        assert parse_qs(redacted.body.decode())["payload"] == parse_qs(f"payload={quote(expected)}")["payload"]
        assert redacted.body.startswith(b"a=1&payload=")
        assert redacted.body.endswith(b"&b=2")
        assert bool(leaks(request)) == (payload != expected)
        assert leaks(redacted) == []

    def test_the_password_of_a_login_and_every_cookie_are_known(self):
        redactor = Redactor()
        login = base64.b64encode(b"me:correct-horse-battery").decode()
        headers = [("authorization", f"Basic {login}"), ("cookie", "one=first-cookie-value; two=second-cookie-value")]
        redactor.request(request_of({}, headers=headers))

        text = redactor.text("correct-horse-battery, first-cookie-value, second-cookie-value")

        assert text == "REDACTED, REDACTED, REDACTED"

    @pytest.mark.parametrize("key", ["Zq7Wm2Xv9Lk4TbNc8RdKp3", "passphrase-of-a-team"])
    def test_a_key_that_is_the_user_of_a_login_without_a_password_is_known(self, key):
        redactor = Redactor()
        login = base64.b64encode(f"{key}:".encode()).decode()
        redactor.request(request_of({}, headers=[("authorization", f"Basic {login}")]))

        assert redactor.text(f"No credit for account {key}") == f"No credit for account {REDACTED}"

    def test_a_key_that_is_the_user_of_a_login_is_known_by_its_looks_beside_any_password(self):
        redactor = Redactor()
        login = base64.b64encode(f"{WORD}:unused".encode()).decode()
        redactor.request(request_of({}, headers=[("authorization", f"Basic {login}")]))

        assert redactor.text(f"No credit for account {WORD}") == f"No credit for account {REDACTED}"

    def test_an_ordinary_user_of_a_login_is_not_known(self):
        redactor = Redactor()
        login = base64.b64encode(b"administrator:correct-horse-battery").decode()
        redactor.request(request_of({}, headers=[("authorization", f"Basic {login}")]))

        assert redactor.text("Ask your administrator.") == "Ask your administrator."

    @pytest.mark.parametrize(
        "value",
        ["Key 8f3a1c22-aaaa-bbbb:of-my-own-make", "Token token=of-my-own-make",
         'Token token="of-my-own-make", nonce="a"', "Bearer of-my-own-make", "of-my-own-make",
         "Team v1 of-my-own-make"],
    )  # fmt: skip
    def test_a_credential_is_known_in_whichever_form_its_header_has_it(self, value):
        redactor = Redactor()
        redactor.request(request_of({}, headers=[("authorization", value)]))

        assert redactor.text("No credit for of-my-own-make") == f"No credit for {REDACTED}"

    def test_a_passphrase_of_several_words_is_known(self):
        redactor = Redactor()
        redactor.request(request_of({}, headers=[("authorization", "Bearer correct horse battery")]))

        assert redactor.text("Not correct horse battery, sorry") == f"Not {REDACTED}, sorry"

    def test_what_a_digest_says_besides_is_not_known(self):
        redactor, answer = Redactor(), answer_of({"next": "/v1/chat/completions"})
        value = f'Digest username="me", realm="someone@example.org", uri="/v1/chat/completions", response="{WORD}"'

        request = redactor.request(request_of({}, headers=[*JSON, ("authorization", value)]))

        assert request.url == URL
        assert redactor.response(answer) == answer

    def test_what_stands_behind_the_mark_of_a_key_is_no_part_of_it(self):
        text = "Is '-----BEGIN PRIVATE KEY-----' a PEM header? Answer in French."

        assert "Answer in French." in Redactor().text(text)


class TestShapes:
    @pytest.mark.parametrize("token", TOKENS.values(), ids=list(TOKENS))
    @pytest.mark.parametrize("around", ["{}", "my key is {}, é", "\n{}\n", "KEY={}", "'{}'", "({})", "x/{}"])
    def test_a_token_is_redacted_wherever_it_stands(self, token, around):
        body = {"messages": [{"role": "user", "content": around.format(token)}]}
        expected = {"messages": [{"role": "user", "content": around.format(REDACTED)}]}

        assert sent(body) == expected
        assert answered(body) == expected
        assert leaks(request_of(body)) == ["request.body.messages[0].content"]
        assert Redactor().text(around.format(token)) == around.format(REDACTED)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (f"Authorization: Bearer {WORD}", "Authorization: Bearer REDACTED"),
            (f"authorization: bearer {WORD}", "authorization: bearer REDACTED"),
            ("Basic " + base64.b64encode(b"user:password").decode(), "Basic REDACTED"),
            ("postgres://me:hunter2@db.example/x", "postgres://REDACTED@db.example/x"),
            (
                f"https://a.example/b?c=1&X-Amz-Signature={WORD}&d=2",
                "https://a.example/b?c=1&X-Amz-Signature=REDACTED&d=2",
            ),
            (f"[x](https://a.example/?sig={WORD}%3D)", "[x](https://a.example/?sig=REDACTED)"),
            (f"https://a.example/?b=1&amp;api_key={WORD}", "https://a.example/?b=1&amp;api_key=REDACTED"),
        ],
        ids=["bearer", "lower-case", "basic", "userinfo", "signed", "markdown", "html"],
    )
    def test_a_credential_is_redacted_by_what_stands_before_it(self, text, expected):
        assert sent({"content": text}) == {"content": expected}
        assert answered({"content": text}) == {"content": expected}
        assert Redactor().text(text) == expected

    @pytest.mark.parametrize("value", [RANDOM, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"], ids=["word", "base64"])
    @pytest.mark.parametrize("text", ASSIGNMENTS)
    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_a_credential_is_redacted_behind_its_name_and_a_sign(self, text, value, depth):
        given, clean = ({"content": text % each} for each in (value, REDACTED))
        for _ in range(depth):
            given, clean = ({"content": json.dumps(each)} for each in (given, clean))

        assert sent(given) == clean
        assert answered(given) == clean
        assert leaks(request_of(given)) != []
        assert leaks(request_of(clean)) == []

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("password='q8Zt3LmP!0vXy#7KdR2&sWb!'", "password='REDACTED'"),
            ("password=q8Zt3LmP!0vXy#7KdR2sWb!", "password=REDACTED!"),
            (f"| API key: {RANDOM}| b |", "| API key: REDACTED| b |"),
            (f"api_key={RANDOM}==, b", "api_key=REDACTED, b"),
            (f"api_key={RANDOM}:{RANDOM} b", "api_key=REDACTED b"),
            (f"https://a.example/?b=1&api_key={RANDOM}&c=2", "https://a.example/?b=1&api_key=REDACTED&c=2"),
            (f"user=somebody-of-mine&password={RANDOM}&c=2", "user=somebody-of-mine&password=REDACTED&c=2"),
        ],
        ids=["quoted", "signs", "cell", "padded", "pair", "address", "query"],
    )
    def test_the_whole_of_a_credential_behind_a_sign_is_redacted_and_no_more(self, text, expected):
        assert sent({"content": text}) == answered({"content": text}) == {"content": expected}

    @pytest.mark.parametrize("value", DJANGO_KEYS)
    @pytest.mark.parametrize("line", SECRET_LINES)
    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_a_key_of_django_is_redacted_as_a_whole(self, line, value, depth):
        given, clean = ({"content": f"So:\n{line.replace('%s', each)}\nDEBUG = 1"} for each in (value, REDACTED))
        for _ in range(depth):
            given, clean = ({"content": json.dumps(each)} for each in (given, clean))
        clean = json.loads(json.dumps(clean).replace("django-insecure-", ""))

        assert sent(given) == answered(given) == clean
        assert leaks(request_of(given)) != []

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("DB_PASSWORD=aZ9kLq3&XvT7pR2mN8wYbQ4z", "DB_PASSWORD=REDACTED"),
            ("A=1\nDB_PASSWORD=aZ9kLq3(XvT7pR2m&N8wYb=Q4z,\r\nB=2", "A=1\nDB_PASSWORD=REDACTED\r\nB=2"),
            ("password: 'aZ9kLq3(XvT7pR2mN8wYb'", "password: 'REDACTED'"),
            ("password: 'aZ9kLq3XvT7pR2mN8wYb(' ", "password: 'REDACTED' "),
            ("f(password='aZ9k&Lq3)XvT7pR2{mN,8;wYb', a='b')", "f(password='REDACTED', a='b')"),
            ("a='DB_PASSWORD=aZ9kLq3XvT7pR2mN8wYb'", "a='DB_PASSWORD=REDACTED'"),
        ],
        ids=["line", "lines", "quoted", "end", "argument", "inside"],
    )
    def test_no_sign_in_a_value_hides_it(self, text, expected):
        assert sent({"content": text}) == answered({"content": text}) == {"content": expected}

    @pytest.mark.parametrize("body", [rb"password=\"%s\"", rb"password\u003d%s", rb"\u0027token\u0027: \u0027%s\u0027"])
    @pytest.mark.parametrize("value", [rb"Zx81\/Qm47\/Kp92\/Lw36\/Bv58", rb"Zx81\u002BQm47\u002bKp92\u002bLw36"])
    def test_escapes_do_not_hide_one_behind_a_sign(self, body, value):
        given, clean = (b'{"content":"' + body % each + b'"}' for each in (value, b"REDACTED"))

        assert Redactor().request(request_of(given)).body == Redactor().response(answer_of(given)).body == clean

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/x-ndjson"])
    def test_text_that_is_no_json_is_read_for_names_and_signs_too(self, kind):
        request = request_of(f"prompt=my DB_PASSWORD: {RANDOM}\n".encode(), headers=[("content-type", kind)])

        redacted = Redactor().request(request)

        assert RANDOM.encode() in request.body
        assert RANDOM.encode() not in redacted.body

    def test_random_text_behind_a_telling_name_and_a_sign_is_reported(self):
        assert leaks(request_of({"content": f"GATEWAY_TOKEN={RANDOM}"})) == ["request.body.content"]

    @pytest.mark.parametrize(
        "password",
        ["hunter2", "p@ssw0rd", "@@", "pa/ss", "pa?ss", "p#s/s", "1a/b/c@d", "a/s@s:1@", "a:b/c", "p@s:w/d", "é/é"],
    )
    @pytest.mark.parametrize(
        "host", ["db.example/x", "localhost:5432/x?a=b@c", "[::1]/x", "db, and me@example.org", "db.example.", "db"]
    )
    def test_no_part_of_a_login_is_left(self, password, host):
        text, clean = f"postgres://app:{password}@{host}", f"postgres://REDACTED@{host}"

        assert sent({"content": text}) == answered({"content": text}) == {"content": clean}
        assert Redactor().text(clean) == clean

    def test_the_user_of_a_login_may_be_an_address(self):
        assert Redactor().text("smtp://me@example.org:hunter2@a.example:25") == "smtp://REDACTED@a.example:25"

    @pytest.mark.parametrize("text", HARMLESS)
    def test_prose_identifiers_and_code_are_left_alone(self, text):
        assert sent({"content": text}) == {"content": text}
        assert answered({"content": text}) == {"content": text}
        assert Redactor().text(text) == text
        assert leaks(answer_of({"content": text})) == []

    def test_escapes_hide_nothing(self):
        body = rb'{"url": "https:\/\/a.example\/?b=1\u0026X-Amz-Signature\u003d' + WORD.encode() + rb'\u0026c=2"}'

        redacted = Redactor().response(answer_of(body)).body

        assert redacted == body.replace(WORD.encode(), b"REDACTED")
        assert Redactor().request(request_of(body)).body == redacted

    @pytest.mark.parametrize("text", ['{"api_key"\n: "%s"}', '{"api_key"\t  :"%s"}', '{"api\\u005fkey":"%s"}'])
    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_no_way_to_write_a_field_hides_it(self, text, depth):
        for _ in range(depth):
            text = json.dumps({"a": text})
        body, clean = ((text % value).encode() for value in ("hunter2", REDACTED))

        assert Redactor().request(request_of(body)).body == Redactor().response(answer_of(body)).body == clean

    @pytest.mark.parametrize("name", [r"api_key\n", r"api_key\t", r"\rapi_key\b"])
    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_nor_does_an_escape_in_its_name(self, name, depth):
        given, clean = (f'{{"{name}":"{value}"}}' for value in ("hunter2hunter2", REDACTED))
        for _ in range(depth):
            given, clean = (json.dumps({"a": text}, separators=(",", ":")) for text in (given, clean))

        assert Redactor().request(request_of(given.encode())).body == clean.encode()

    @pytest.mark.parametrize("text", ["password" + "-" * 45 + "=%s", "password" + "_" * 40 + "]: '%s'"])
    def test_nor_does_a_name_that_ends_far_before_its_sign(self, text):
        assert sent({"content": text % RANDOM}) == {"content": text % REDACTED}

    @pytest.mark.parametrize(
        "field", [rb"\u0022api_key\u0022:\"%s\"", rb"\"api_key\"\u003a\"%s\"", rb"\"api_key\"\u003A\"%s\""]
    )
    def test_nor_does_an_escape_for_a_sign(self, field):
        body, clean = (b'{"a": "{' + field % value + b'}"}' for value in (b"hunter2", b"REDACTED"))

        assert Redactor().request(request_of(body)).body == Redactor().response(answer_of(body)).body == clean

    def test_an_escaped_sign_between_name_and_value_hides_nothing(self):
        body = rb'{"url": "https://a.example/?sig\u003d' + WORD.encode() + rb'"}'

        assert Redactor().request(request_of(body)).body == body.replace(WORD.encode(), b"REDACTED")

    def test_text_and_pages_are_read_as_they_are(self):
        page = f"<a href='/?key={WORD}'>{TOKENS['openai']}</a> é".encode()

        answer = Redactor().response(answer_of(page, headers=[("content-type", "text/html")]))

        assert answer.body == b"<a href='/?key=REDACTED'>REDACTED</a> \xc3\xa9"

    @pytest.mark.parametrize("name", ["signature", "thoughtSignature", "thought_signature", "encrypted_content"])
    def test_what_its_provider_needs_back_is_left_alone(self, name):
        body = {"a": [{name: TOKENS["jwt"], "text": TOKENS["jwt"]}]}

        assert answered(body) == {"a": [{name: TOKENS["jwt"], "text": REDACTED}]}

    def test_bytes_that_are_no_text_are_left_alone_and_reported(self):
        frame = b"\x00\x00\x00\x87" + TOKENS["openai"].encode() + b"\xff\xfe"
        answer = answer_of(frame, headers=[("content-type", "application/vnd.amazon.eventstream")])

        assert Redactor().response(answer) == answer
        assert leaks(answer) == ["response.body"]

    @pytest.mark.parametrize("broken", ["\\q", "\\ud83d", "\\é", "\\u12"])
    def test_a_broken_string_is_redacted_where_a_credential_stands(self, broken):
        body = '{"a": "%s %s {\\"password\\": \\"%s\\"}", "b": 1}'

        redacted = Redactor().response(answer_of((body % (broken, TOKENS["openai"], "hunter2")).encode())).body

        assert redacted.decode() == body % (broken, REDACTED, REDACTED)

    def test_a_string_that_is_no_text_is_redacted_as_a_whole(self):
        body = b'{"a": "\xc0\x80 ' + TOKENS["openai"].encode() + b'", "b": 1}'

        assert Redactor().response(answer_of(body)).body == b'{"a": "REDACTED", "b": 1}'

    def test_json_that_is_cut_off_is_read_as_far_as_it_goes(self):
        body = b'{"a": [{"password": "hunter2", "b": "' + TOKENS["openai"].encode()

        redacted = Redactor().response(answer_of(body)).body

        assert redacted.startswith(b'{"a": [{"password": "REDACTED", "b": "REDACTED')
        assert TOKENS["openai"].encode() not in redacted


PIECES = st.sampled_from([
    'so: "api_key": ["x"', "[", "password=", "'token': '", "**API key:** ", "Zx81/Qm47/Kp92!Lw36/Bv58", "`",
    *TOKENS.values(), *HARMLESS, "sk-", "Bearer ", "Basic ", "https://me:", "word@a.example", "?sig=",
    "&X-Amz-Signature=", WORD, "é", "\n", '"', "\\", " ", "=", "/", "{", '{"password": "x"}', "dXNlcjpwYXNzd29yZA==",
])  # fmt: skip
NAMES = st.sampled_from(
    ["content", "api_key", "x-api-key", "secret", "token", "signature", "value", "a b", "pass\\word"]
)
BODIES = st.recursive(
    st.lists(PIECES, max_size=4).map("".join) | st.integers(),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3) | inner.map(json.dumps),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, BODIES, max_size=3), st.sampled_from([None, 2]), st.booleans(), st.booleans())
def test_the_quick_look_at_a_request_misses_nothing(body, indent, ascii_only, spaced):
    """An answer that is a list is always read in full: nothing is left to find in what a request was redacted to."""
    separators = (" , ", " : ") if spaced else (",", ":")
    data = json.dumps(body, indent=indent, ensure_ascii=ascii_only, separators=separators).encode()

    redacted = Redactor().request(request_of(data)).body

    assert Redactor().response(answer_of(b"[" + redacted + b"]")).body == b"[" + redacted + b"]"
    assert json.loads(redacted).keys() == body.keys()


class TestKnown:
    KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

    @pytest.mark.parametrize(
        ("name", "value"), [("authorization", f"Bearer {KEY}"), ("X-Api-Key", KEY), ("api-key", KEY), ("cookie", KEY)]
    )
    def test_what_a_request_bore_is_taken_out_of_every_body_whatever_it_looks_like(self, name, value):
        redactor = Redactor()

        request = redactor.request(request_of({"content": f"My key is {self.KEY}."}, headers=[*JSON, (name, value)]))
        answer = redactor.response(answer_of({"error": f"Incorrect API key provided: {self.KEY}."}))

        assert json.loads(request.body) == {"content": "My key is REDACTED."}
        assert json.loads(answer.body) == {"error": "Incorrect API key provided: REDACTED."}
        assert redactor.text(f"It was {self.KEY}") == "It was REDACTED"

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
    @pytest.mark.parametrize("before", [b"", b"u", b"us", b"Bearer ", b"user:"])
    @pytest.mark.parametrize("after", [b"", b"!", b" and more of it"])
    @pytest.mark.parametrize("value", ["lm-studio-local-key", "~~~???>>>~~~???>>>", "pass\u00e9-word-of-mine"])
    def test_it_is_known_in_base64_too_whatever_stands_around_it(self, encode, before, after, value):
        redactor = Redactor()
        redactor.request(Outgoing("POST", URL, (("authorization", f"Bearer {value}"),), b""))
        echoed = encode(before + value.encode() + after).decode()
        body = json.dumps({"error": {"message": f"Got {echoed}, sorry"}}).encode()
        for written in (body, body.replace(b"/", b"\\/")):
            answer = redactor.response(Incoming(200, "", JSON, (Chunk(0.0, written),)))

            assert json.loads(answer.body) == {"error": {"message": f"Got {REDACTED}, sorry"}}

    def test_one_that_stood_in_the_query_is_known_too(self):
        redactor = Redactor()
        redactor.request(request_of(url=f"{URL}?key={self.KEY}"))

        assert redactor.text(self.KEY) == REDACTED

    @pytest.mark.parametrize("encode", [quote, quote_plus, partial(quote, safe=""), lambda text: quote(text).lower()])
    def test_one_in_the_query_is_known_as_it_was_before_it_was_encoded(self, encode):
        redactor, value = Redactor(), "ab/cd+ef = gh&ij?12"
        url = f"{URL}?sig={encode(value)}"

        request = redactor.request(request_of({"content": f"why is {value} refused, in {url} too?"}, url=url))
        answer = redactor.response(answer_of({"error": f"{value} is wrong"}))

        assert json.loads(request.body)["content"].startswith(f"why is {REDACTED} refused")
        assert json.loads(answer.body) == {"error": f"{REDACTED} is wrong"}
        assert redactor.left(request, answer) == []

    @pytest.mark.parametrize("encode", [quote, quote_plus, partial(quote, safe="")])
    def test_one_in_a_header_is_known_with_percent_signs_too(self, encode):
        redactor, value = Redactor(), "ab/cd+ef=gh12"
        redactor.request(request_of(headers=[("authorization", f"Bearer {value}")]))

        answer = redactor.response(answer_of({"next": f"/b?page={encode(value)}"}))

        assert json.loads(answer.body) == {"next": f"/b?page={REDACTED}"}

    @pytest.mark.parametrize("ascii_only", [True, False])
    @pytest.mark.parametrize(
        "value", [r'abcd"efgh\ijkl', "pass\u00e9-wörd-of-mine", "ab/cd+ef=gh12", "pass-\U0001f600-word-of-mine"]
    )
    def test_it_is_known_as_json_writes_it(self, value, ascii_only):
        redactor, write = Redactor(), json.JSONEncoder(ensure_ascii=ascii_only).encode
        headers = [*JSON, ("authorization", f"Bearer {value}")]
        body = write({"said": f"It was {value}.", "file": write({"a": value})}).encode()
        expected = {"said": f"It was {REDACTED}.", "file": write({"a": REDACTED})}

        request = redactor.request(request_of(body, headers=headers))
        answer = redactor.response(answer_of(body.replace(b"/", rb"\/")))

        assert json.loads(request.body) == json.loads(answer.body) == expected
        assert redactor.left(request, answer) == []

    @pytest.mark.parametrize(
        "written",
        [
            r'it was abcd\"efgh\\ij/kl', r'it was abcd\\\"efgh\\\\ij\/kl', "abcd%22efgh%5cij%2fkl",
            "abcd%2522efgh%255Cij%252Fkl", r"abcd\u0022efgh\u005Cij\u002fkl", r"abcd&quot;efgh\\ij/kl",
        ],
    )  # fmt: skip
    def test_however_it_is_written_no_recording_is_left_with_it(self, written):
        redactor = Redactor()
        redactor.request(request_of(headers=[("authorization", r'Bearer abcd"efgh\ij/kl')]))
        answer = answer_of(written.encode(), headers=[("content-type", "text/plain")])

        assert redactor.left(request_of(), answer) == ["response.body"]

    def test_what_is_short_once_it_is_decoded_is_no_more_known_than_any_short_word(self):
        redactor = Redactor()
        redactor.request(request_of(url=f"{URL}?sig=%74%65%73%74"))

        assert redactor.text("a test of %74%65%73%74") == f"a test of {REDACTED}"

    @pytest.mark.parametrize("value", [KEY, f"Bearer {KEY}"])
    def test_one_in_a_header_of_a_telling_name_is_known_too(self, value):
        redactor = Redactor()
        redactor.request(request_of(headers=[("X-My-Token", value)]))

        assert json.loads(redactor.response(answer_of({"echo": f"<{self.KEY}>"})).body) == {"echo": "<REDACTED>"}

    @pytest.mark.parametrize(
        "name",
        ["Helicone-Auth", "x-gateway-token", "x-portkey-virtual-key", "x-llm-key", "x_llm_key", "x-acme-password",
         "x-acme-secret", "x-cache-secret", "cf-aig-authorization", "x-my-api-token"],
    )  # fmt: skip
    @pytest.mark.parametrize("value", ["passphrase-of-a-team", "Bearer passphrase-of-a-team"])
    def test_one_in_a_header_of_a_known_name_is_known_whatever_it_looks_like(self, name, value):
        redactor = Redactor()
        redactor.request(request_of(headers=[(name, value)]))

        answer = redactor.response(answer_of({"error": "No credit for passphrase-of-a-team"}))

        assert json.loads(answer.body) == {"error": f"No credit for {REDACTED}"}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("x-token-owner", "someone@example.org"), ("x-trace", KEY), ("idempotency-key", KEY),
         ("x-key-version", "2024-01-01-preview"), ("cf-aig-cache-key", "capital-of-france"),
         ("x-page-token", "page-after-the-first"), ("x-model-key", "gpt-4o-mini-2024-07-18"),
         ("x-auth-mode", "client_credentials"), ("x-max-tokens", "a-thousand-tokens"),
         ("x-stainless-runtime", "CPython-on-Linux"), ("x-keyword", "extraordinary")],
    )  # fmt: skip
    def test_what_stands_in_any_other_header_is_not_known(self, name, value):
        redactor, answer = Redactor(), answer_of({"said": f"It was {value}"})
        redactor.request(request_of(headers=[(name, value)]))

        assert redactor.response(answer) == answer

    @pytest.mark.parametrize(
        ("name", "value"),
        [("x-tenant-key", "customer-support"), ("x-user-key", "alice.cooper@example.com"),
         ("x-flag-key", "checkout-redesign"), ("x-litellm-customer-key", "north-america"),
         ("x-dataset-key", "capital-cities"), ("x-auth", "not-required-here"), ("x-use-auth", "organization"),
         ("x-auth", "gpt-4o-mini-2024-07-18"), ("x-my-token", "claude-3-5-sonnet-20241022"),
         ("x-my-token", "meta-llama/Llama-3.3-70B-Instruct-Turbo"), ("x-engine-key", "mixtral-8x7b-instruct-v0.1"),
         ("x-auth-version", "2024-10-01-preview"), ("x-use-jwt", "organization-of-2024"),
         ("x-accept-cookie", "no-cookies-please"), ("x-site-key", "CustomerSupport2024")],
    )  # fmt: skip
    def test_words_behind_a_name_that_may_be_of_anything_are_no_credential(self, name, value):
        headers = [*JSON, (name, value)]
        asked, answer = request_of({"content": f"about {value} please"}, headers=headers), answer_of({"said": value})
        redactor = Redactor()

        kept = redactor.request(asked)

        assert kept.body == asked.body
        assert redactor.response(answer) == answer
        other = "another-of-our-own"
        others = Redactor().request(request_of({"content": f"about {other} please"}, headers=[*JSON, (name, other)]))
        assert Matcher().key_of(kept) != Matcher().key_of(others)

    @pytest.mark.parametrize(
        "value",
        ["Zq7Wm2Xv9Lk4TbNc8RdKp3", "123e4567-e89b-12d3-a456-426614174000", "q4m9-x2k7-z8w3-p5n1", "of-my-own:" + KEY,
         "Bearer passphrase-of-a-team"],
    )  # fmt: skip
    @pytest.mark.parametrize("name", ["x-tenant-key", "x-auth", "x-acme-token", "x-use-jwt"])
    def test_behind_such_a_name_what_looks_random_or_has_a_scheme_is_one(self, name, value):
        redactor = Redactor()
        redactor.request(request_of(headers=[(name, value)]))
        credential = value.removeprefix("Bearer ").removeprefix("of-my-own:")

        assert redactor.text(f"No credit for {credential}") == f"No credit for {REDACTED}"

    def test_a_header_that_was_harmless_before_is_read_again(self):
        redactor = Redactor()
        answer = answer_of({}, headers=[("x-request-id", self.KEY)])

        assert redactor.response(answer) == answer
        redactor.request(request_of(headers=[("authorization", f"Bearer {self.KEY}")]))
        assert redactor.response(answer).headers == (("x-request-id", REDACTED),)

    def test_it_is_taken_out_of_the_address_and_the_headers_too(self):
        headers = [("prefer", f"wait {self.KEY}"), ("authorization", f"Bearer {self.KEY}")]

        request = Redactor().request(request_of(url=f"https://a.example/{self.KEY}/b", headers=headers))

        assert request == request_of(url="https://a.example/REDACTED/b", headers=[("prefer", "wait REDACTED")])

    @pytest.mark.parametrize("value", [f"**{REDACTED}**", f"Bearer {REDACTED}-{REDACTED}"])
    def test_what_stands_for_a_credential_in_a_recording_is_not_known(self, value):
        headers = [("content-type", value), ("authorization", value)]

        assert Redactor().request(request_of(headers=headers)).headers == (("content-type", value),)

    def test_a_short_word_is_not_known(self):
        redactor = Redactor()
        redactor.request(request_of(headers=[("authorization", "Bearer test")]))

        assert redactor.text("a test") == "a test"


class TestSameRequest:
    """The key of a request is the same at record and replay, with a real credential or without."""

    @staticmethod
    def key(body, headers=JSON, url=URL):
        return Matcher().key_of(Redactor().request(request_of(body, headers=headers, url=url)))

    @pytest.mark.parametrize("other", [{"api_key": "placeholder"}, {"api_key": ""}, {"api_key": None}, {}])
    def test_a_field_of_a_credential_never_counts(self, other):
        body = {"model": "m", "messages": []}

        assert self.key(body | {"api_key": TOKENS["openai"], "tools": [{"api_key": WORD}]}) == self.key(
            body | other | {"tools": [dict(other)]}
        )

    @pytest.mark.parametrize("text", ASSIGNMENTS)
    def test_nor_does_one_behind_its_name_in_a_prompt(self, text):
        assert self.key({"content": text % RANDOM}) == self.key({"content": text % WORD})

    def test_neither_headers_nor_the_query_count(self):
        real = self.key({}, [*JSON, ("authorization", f"Bearer {WORD}")], f"{URL}?key={WORD}")

        assert real == self.key({}, [*JSON, ("authorization", "Bearer x")], f"{URL}?key=x") == self.key({})

    @given(st.sampled_from(sorted(set(TOKENS) - {"private-key"})), st.text(max_size=20))
    def test_redacting_twice_changes_nothing_more(self, name, text):
        redactor = Redactor()
        once = redactor.request(request_of({"content": f"{text} {TOKENS[name]} {text}", "password": text}))

        assert redactor.request(once) == once
        assert leaks(once) == []

    def test_a_compressed_request_is_kept_as_it_was_before(self):
        body = {"api_key": WORD, "a": 1}
        packed = Outgoing("POST", URL, (*JSON, ("content-encoding", "gzip")), gzip.compress(json.dumps(body).encode()))

        assert Redactor().request(packed) == Redactor().request(request_of(body))

    def test_an_encoding_that_nobody_knows_leaves_the_body_as_it_is(self):
        request = Outgoing("POST", URL, (*JSON, ("content-encoding", "amz-1.0")), b'{"a": 1}')

        assert Redactor().request(request).body == b'{"a": 1}'


def events(*pieces):
    return b"".join(b"data: " + json.dumps(piece, ensure_ascii=False).encode() + b"\n\n" for piece in pieces)


def recut(body, places):
    ends = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(ends)]


class TestStreams:
    BODY = events(
        {"choices": [{"index": 0, "delta": {"content": "Your key: é "}}]},
        {"choices": [{"index": 0, "delta": {"content": TOKENS["openai"]}}]},
        {"choices": [{"index": 0, "delta": {"content": " – keep it"}}], "usage": {"total_tokens": 5}},
    )

    @given(st.lists(st.integers(0, 400), max_size=8))
    def test_a_token_is_found_wherever_the_body_is_cut(self, places):
        answer = answer_of(*recut(self.BODY, places), headers=EVENTS)

        redacted = Redactor().response(answer)

        assert redacted.body == self.BODY.replace(TOKENS["openai"].encode(), b"REDACTED")
        assert {chunk.offset for chunk in redacted.chunks} <= {chunk.offset for chunk in answer.chunks}
        assert b"" not in {chunk.data for chunk in redacted.chunks}

    def test_chunks_end_where_they_did(self):
        token = TOKENS["openai"].encode()
        pieces = (b'data: {"a": "x', b"y " + token[:9], token[9:20], token[20:] + b' z"}', b"\n\n")

        redacted = Redactor().response(answer_of(*pieces, headers=EVENTS))

        assert redacted.chunks == (
            Chunk(0.0, b'data: {"a": "x'),
            Chunk(10.0, b"y REDACTED"),
            Chunk(30.0, b' z"}'),
            Chunk(40.0, b"\n\n"),
        )

    @given(st.lists(st.integers(0, 43), min_size=1, max_size=12))
    def test_a_token_is_found_over_several_events(self, places):
        """A model says it in pieces, each in an event of its own."""
        parts = recut(f"key {TOKENS['openai']} ok".encode(), [place + 4 for place in places])
        body = events(*({"index": 0, "delta": {"text": part.decode()}} for part in parts))

        redacted = Redactor().response(answer_of(body, headers=EVENTS))

        said = [json.loads(line[6:])["delta"]["text"] for line in redacted.body.decode().split("\n\n") if line]
        assert "".join(said) == "key REDACTED ok"
        assert len(said) == len(parts)
        assert leaks(answer_of(body, headers=EVENTS)) != []
        assert leaks(redacted) == []

    @pytest.mark.parametrize(
        "event",
        [
            lambda number, text: {"choices": [{"index": number, "delta": {"content": text}}]},
            lambda number, text: {"choices": [{"delta": {"content": text}, "index": number}]},
            lambda number, text: {"item_id": secrets.token_hex(8), "output_index": number, "delta": text},
            lambda number, text: {"output_index": 0, "content_index": number, "delta": text},
            lambda number, text: {"delta": text, "output_index": 0, "summary_index": number},
            lambda number, text: {"item_id": f"item {number}", "delta": text},
        ],
        ids=["openai", "azure", "gateway", "responses", "summaries", "items"],
    )
    def test_answers_side_by_side_are_told_apart(self, event):
        token = TOKENS["openai"]
        pieces = [(0, token[:9]), (1, "Hi "), (0, token[9:30]), (1, "you"), (0, token[30:])]

        redacted = Redactor().response(answer_of(events(*(event(*piece) for piece in pieces)), headers=EVENTS)).body

        assert redacted.count(b"REDACTED") == 1
        assert b"Hi " in redacted
        assert token[9:30].encode() not in redacted

    def test_arguments_that_come_in_pieces_are_read_as_json(self):
        texts = ['{"user": "me", "pass', 'word": "hun', 'ter2", "n": 1}']
        body = events(*({"index": 1, "delta": {"partial_json": text}} for text in texts))

        redacted = Redactor().response(answer_of(body, headers=EVENTS)).body

        said = [json.loads(line[6:])["delta"]["partial_json"] for line in redacted.decode().split("\n\n") if line]
        assert json.loads("".join(said)) == {"user": "me", "password": REDACTED, "n": 1}

    def test_json_in_a_text_that_comes_in_pieces_is_read_too(self):
        texts = ["Sure:\n```", 'json\n{"pass', 'word": "hun', 'ter2", "n": 1', "}\n```"]
        body = events(*({"delta": {"text": text}} for text in texts))

        redacted = Redactor().response(answer_of(body, headers=EVENTS)).body

        said = [json.loads(line[6:])["delta"]["text"] for line in redacted.decode().split("\n\n") if line]
        assert "".join(said) == 'Sure:\n```json\n{"password": "REDACTED", "n": 1}\n```'

    def test_a_name_a_sign_and_a_value_that_come_in_pieces_are_read_as_one(self):
        texts = ["Put API_", "KEY", "=q8Zt3L", "mP0vXy7K", "dR2sWb", " there"]
        body = events(*({"index": 0, "delta": {"text": text}} for text in texts))

        redacted = Redactor().response(answer_of(body, headers=EVENTS))

        said = [json.loads(line[6:])["delta"]["text"] for line in redacted.body.decode().split("\n\n") if line]
        assert said == ["Put API_", "KEY", "=REDACTED", "", "", " there"]
        assert leaks(answer_of(body, headers=EVENTS)) != []
        assert leaks(redacted) == []

    def test_what_every_event_says_again_is_not_joined(self):
        body = events(*[{"object": "sk-chunk-"}] * 3)

        assert Redactor().response(answer_of(body, headers=EVENTS)).body == body

    @pytest.mark.parametrize("headers", [LINES, JSON], ids=["ndjson", "json"])
    def test_lines_of_json_are_a_stream_too(self, headers):
        token = TOKENS["groq"]
        lines = [json.dumps({"message": {"content": text}}).encode() + b"\n" for text in (token[:8], token[8:])]

        redacted = Redactor().response(answer_of(*lines, headers=headers)).body

        assert redacted == b'{"message": {"content": "REDACTED"}}\n{"message": {"content": ""}}\n'

    def test_a_list_of_parts_is_a_stream_too(self):
        token = TOKENS["google"]
        parts = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in (token[:8], token[8:])]

        redacted = json.loads(Redactor().response(answer_of(parts)).body)

        assert [part["candidates"][0]["content"]["parts"][0]["text"] for part in redacted] == [REDACTED, ""]

    def test_lines_that_are_no_json_are_read_as_text(self):
        body = f": {TOKENS['openai']}\nevent: x\ndata: {TOKENS['groq']}\r\ndata: [DONE]\n\n".encode()

        redacted = Redactor().response(answer_of(body, headers=EVENTS)).body

        assert redacted == b": REDACTED\nevent: x\ndata: REDACTED\r\ndata: [DONE]\n\n"

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ('data: {"password":\ndata: "hunter2"}', 'data: {"password":\ndata: "REDACTED"}'),
            ('data:{\ndata\ndata:"password":\nid: 5\ndata: "hunter2"}',
             'data:{\ndata\ndata:"password":\nid: 5\ndata: "REDACTED"}'),
            ('\ufeffdata: {"password":\ndata: "hunter2"}', '\ufeffdata: {"password":\ndata: "REDACTED"}'),
            ('data: Look:\ndata: {"password": "hunter2"}', 'data: Look:\ndata: {"password": "REDACTED"}'),
            ('data: {"password":\n\ndata: "hunter2"}', 'data: {"password":\n\ndata: "hunter2"}'),
            ("\n".join(f"data: {line}" for line in TOKENS["private-key"].split("\n")), "data: REDACTED"),
        ],
        ids=["json", "fields-between", "byte-order-mark", "json-below-text", "two-events", "private-key"],
    )  # fmt: skip
    def test_the_lines_of_data_in_an_event_are_one_text(self, newline, body, expected):
        stream, clean = (f'{text}\n\ndata: {{"n": 1}}\n\n'.replace("\n", newline) for text in (body, expected))

        assert Redactor().response(answer_of(stream.encode(), headers=EVENTS)).body == clean.encode()
        assert sent({"echo": stream}) == answered({"echo": stream}) == {"echo": clean}

    def test_a_stream_is_known_without_its_type(self):
        redacted = Redactor().response(answer_of(events({"password": "hunter2"}), headers=()))

        assert redacted.body == events({"password": REDACTED})


def test_what_a_traceback_shows_of_an_exchange_is_no_secret():
    request = request_of({"password": "hunter2"}, url="https://me:hunter2@a.example/hunter2?key=hunter2")
    answer = answer_of({"password": "hunter2"}, headers=[("x-mine", "hunter2")])._replace(reason="hunter2")

    assert repr(request) == "<Outgoing POST a.example>"
    assert "hunter2" not in f"{answer!r} {answer.chunks!r}"


class TestLeaks:
    def test_each_place_is_named_once(self):
        request = Outgoing(
            "POST", f"https://me:word@a.example/b?key=abc&c=1&d={TOKENS['openai']}",
            (("Authorization", "Bearer x"), ("x-mine", TOKENS["groq"]), ("x-token", WORD), ("accept", "*/*")),
            json.dumps({"data": {"token": WORD}, "list": [{"password": "hunter2"}], "a": TOKENS["aws"] * 2}).encode(),
        )  # fmt: skip

        assert leaks(request) == [
            "request.url",
            "request.query.key",
            "request.query.d",
            "request.headers.authorization",
            "request.headers.x-mine",
            "request.headers.x-token",
            "request.body.data.token",
            "request.body.list[0].password",
        ]

    def test_numbers_in_a_list_are_counted(self):
        assert leaks(answer_of({"a": [1, 2, None, {"password": "hunter2"}]})) == ["response.body.a[3].password"]

    def test_of_a_stream_the_chunk_is_named(self):
        chunks = [b"data: {}\n\n", b'data: {"a": 1}\n\n', b'data: {"password": "hunter2"}\n\n']

        assert leaks(answer_of(*chunks, headers=EVENTS)) == ["response.chunks[2]"]

    @pytest.mark.parametrize(
        "name", ["webhook_token", "adminKey", "auth_code", "license_key", "SSH_KEY", "sessionCookie"]
    )
    def test_random_text_behind_a_telling_name_is_one(self, name):
        assert leaks(answer_of({"a": {name: WORD}})) == [f"response.body.a.{name}"]
        assert leaks(answer_of({"a": {name: "see below"}})) == []

    @pytest.mark.parametrize(
        "name", ["id", "key", "cache_key", "page_token", "next_token", "author", "token_count", "hash"]
    )
    def test_random_text_behind_any_other_name_is_none(self, name):
        assert leaks(answer_of({name: WORD})) == []

    @pytest.mark.parametrize("value", ["", REDACTED, f"Bearer {REDACTED}", f"**{REDACTED}**"])
    def test_what_is_redacted_is_none(self, value):
        assert leaks(request_of(url=f"{URL}?key={value}", headers=[("authorization", value)])) == []

    def test_a_secret_error_is_one_of_ours(self):
        assert issubclass(SecretError, LLMCacheError)


class TestRecordings:
    @pytest.mark.parametrize("recording", load_all(), ids=lambda recording: recording.name)
    def test_real_traffic_is_left_as_it_is(self, recording):
        body = recording.request_body
        is_text = isinstance(body, str)
        headers = [("content-type", "multipart/form-data; boundary=x" if is_text else "application/json")]
        request = request_of(body.encode() if is_text else body, url=recording.url, headers=headers)
        answer = answer_of(recording.response_body, headers=recording.headers.items())
        redactor = Redactor()

        assert redactor.request(request) == request
        assert redactor.response(answer).chunks == answer.chunks
        assert leaks(redactor.request(request)) == leaks(redactor.response(answer)) == []

    @pytest.mark.parametrize(
        "name", ["openai-responses-sse", "gemini-sse-1", "gemini-tools-json-array-1", "ollama-chat"]
    )
    @given(data=st.data())
    def test_a_token_put_into_any_string_of_it_is_found(self, name, data):
        body = next(recording for recording in load_all() if recording.name == name).response_body
        places = [match.end() for match in re.finditer(rb'"(?!thoughtSignature|encrypted)\w+": ?"', body)]
        place = data.draw(st.sampled_from(places))
        secret = data.draw(st.sampled_from([TOKENS["anthropic"], TOKENS["groq"], TOKENS["jwt"]])).encode() + b" "
        answer = answer_of(body[:place] + secret + body[place:], headers=())

        assert Redactor().response(answer).body == body[:place] + b"REDACTED " + body[place:]
