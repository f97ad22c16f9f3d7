"""What a repository may tell the proxy, and what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.proxy.snippet import MAX_BYTES, BrokenSnippet, parse, rendered


def shown(text: str) -> str:
    return rendered(text, "http://paas-x", ("Host", "X-Forwarded-For"))


@pytest.mark.parametrize(
    "text",
    [
        "access_log /etc/cron.d/x;",
        "error_log /etc/cron.d/x;",
        "include /etc/shadow;",
        "load_module /tmp/x.so;",
        "root /;",
        "location / { alias /etc/; }",
        "proxy_pass http://169.254.169.254;",
        "location / { proxy_pass http://127.0.0.1:22; }",
        "location / { proxy_pass http://$host; }",
        "auth_basic_user_file /etc/shadow;",
        "ssl_certificate_key /etc/ssl/private/x.key;",
        "server { listen 25; }",
        "listen 25;",
        "server_name other.example;",
        "proxy_store /etc/cron.d/x;",
        "client_body_in_file_only on;",
        "fastcgi_pass unix:/run/docker.sock;",
        "perl_set $x 'sub { }';",
        "} server { return 200; ",
        "return 200 'x'; }",
        "if ($x) { return 200; ",
        "return 200 'open;",
        'return 200 "open;',
        "return 200",
        ";",
        "{ return 200; }",
        "proxy_set_header Host evil;",
        "return 200 $paas_pem;",
        "add_header X '${PAAS_pem}';",
        "set $paas_shaking_hands 0123;",
        'if ($arg_x ~ "(?<paas_pair>.*)") { return 404; }',
        "location ~ (?P<paas_pair>x) { return 404; }",
        """location ~ "(?'paas_pair'x)" { return 404; }""",
        "location / { proxy_set_header x-forwarded-for 6.6.6.6; }",
        "return 200 \x00;",
        "return 200 \u202e;",
        "a" * (MAX_BYTES + 1),
        "location /a { " * 9,
        "\\",
    ],
)
def test_what_would_reach_further_than_the_app_is_refused(text: str) -> None:
    with pytest.raises(BrokenSnippet):
        shown(text)


def test_a_quote_does_not_end_what_was_quoted() -> None:
    """In single quotes a double one is a letter; in what is written anew it is escaped."""
    assert shown("""return 200 'a"; include /etc/shadow; "';""") == (
        'return 200 "a\\"; include /etc/shadow; \\"";\n'
    )
    assert shown("""return 200 '\\\\"; deny all; "';""") == (
        'return 200 "\\\\\\"; deny all; \\"";\n'
    )


def test_a_location_passes_to_the_app_unless_it_says_otherwise() -> None:
    text = shown("location /api { expires 1h; }\nlocation = /gone { return 410; }")
    assert text.count("proxy_pass http://paas-x;") == 1
    assert "proxy_pass http://paas-x;" in shown("location / { proxy_pass http://app; }")


def test_a_header_for_the_app_does_not_hide_ours() -> None:
    text = shown("location /x { proxy_set_header X-Tenant $host; }")
    assert "include headers.conf;\n    proxy_set_header X-Tenant $host;" in text


def test_conditions_and_variables_stay_what_they_were() -> None:
    text = shown('if ($http_user_agent ~* "(bad|worse) bot") { return 403; } # no robots')
    assert 'if ($http_user_agent ~* "(bad|worse) bot" ) {' in text
    assert shown("rewrite ^/a/(.*)$ /b/${1}x last;") == 'rewrite ^/a/(.*)$ "/b/${1}x" last;\n'


@given(st.text(alphabet="ab \n;{}\"'\\$#()=", max_size=40))
def test_any_text_is_refused_or_comes_out_as_the_same_directives(text: str) -> None:
    """Nothing moves out of its quotes: what is written parses to the same words again."""
    body = f"return 200 {text};"
    try:
        before = parse(body)
    except BrokenSnippet:
        return
    assert [each.name for each in parse(shown(body))] == [each.name for each in before]
