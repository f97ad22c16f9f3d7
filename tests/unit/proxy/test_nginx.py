"""What an nginx says of itself."""

from __future__ import annotations

from paas.proxy.nginx import version_of


def test_the_version_is_found_in_what_it_prints() -> None:
    assert version_of("nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.9") == (1, 22, 1)
    assert version_of("nginx version: nginx/1.24.0 (Ubuntu)") == (1, 24, 0)
    assert version_of("something else") == ()
