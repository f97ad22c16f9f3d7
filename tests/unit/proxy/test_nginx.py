"""What an nginx says of itself."""

from __future__ import annotations

from paas.proxy.nginx import ROTATES_TICKETS, version_of


def test_the_version_tells_whether_the_keys_of_tickets_change() -> None:
    assert version_of("nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.9") == (1, 22, 1)
    assert version_of("nginx version: nginx/1.24.0 (Ubuntu)") >= ROTATES_TICKETS
    assert version_of("nginx version: nginx/1.26.3") >= ROTATES_TICKETS
    assert not version_of("something else") >= ROTATES_TICKETS
