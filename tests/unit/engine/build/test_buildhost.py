"""What builds get of a host's settings, read from a host that is a directory."""

from pathlib import Path

from paas.engine.build.buildhost import APT_FILE, CA_FILE, BuildHost, this_host


def host(root: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> BuildHost:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return this_host(environ or {}, root, apt="")


def test_a_plain_host_gives_nothing(tmp_path: Path) -> None:
    found = host(tmp_path, {"etc/ssl/certs/ca-certificates.crt": "all"}, {"HOME": "/", "LANG": "C"})
    assert found == BuildHost()
    assert found.variables == {}
    assert found.apt_options == ""


def test_added_certificates_bring_the_hosts_bundle(tmp_path: Path) -> None:
    found = host(
        tmp_path,
        {
            "etc/ssl/certs/ca-certificates.crt": "all",
            "usr/local/share/ca-certificates/corp/own.crt": "own",
        },
    )
    assert found.ca_bundle == tmp_path / "etc/ssl/certs/ca-certificates.crt"
    assert found.variables["SSL_CERT_FILE"] == CA_FILE
    assert found.variables["NODE_EXTRA_CA_CERTS"] == CA_FILE
    assert found.variables["APT_CONFIG"] == APT_FILE
    assert found.apt_options == f'Acquire::https::CAInfo "{CA_FILE}";\n'


def test_mirrors_and_proxies(tmp_path: Path) -> None:
    found = host(
        tmp_path,
        {
            "etc/environment": 'HTTPS_PROXY="http://proxy:3128"\n# x\nLANG=C\nno_proxy=a,b\n',
            "etc/pip.conf": "[global]\nindex-url = https://pypi.corp/simple\n"
            "extra-index-url = file:///opt/wheels https://more.corp/simple\n"
            "find-links = /opt/wheels\ncert = /etc/x\n",
            "etc/npmrc": "cafile=/x\nregistry = https://npm.corp/\n",
        },
        {"http_proxy": "http://other:1", "GOPROXY": "https://go.corp", "SECRET": "s"},
    )
    assert found.variables == {
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "a,b",
        "http_proxy": "http://other:1",
        "GOPROXY": "https://go.corp",
        "PIP_INDEX_URL": "https://pypi.corp/simple",
        "PIP_EXTRA_INDEX_URL": "https://more.corp/simple",
        "NPM_CONFIG_REGISTRY": "https://npm.corp/",
    }


def test_what_is_on_the_hosts_disk_is_not_in_a_container(tmp_path: Path) -> None:
    found = host(tmp_path, {}, {"PIP_INDEX_URL": "file:///opt/pypi/simple"})
    assert found.variables == {}


def test_apt_keeps_its_proxy_and_loses_certificates_by_path() -> None:
    found = BuildHost(
        apt='Acquire::http::Proxy "http://apt:3142";\nAcquire::https::CAInfo "/etc/own.pem";\n'
    )
    assert found.apt_options == 'Acquire::http::Proxy "http://apt:3142";\n'


def test_a_broken_pip_conf_is_pips_business(tmp_path: Path) -> None:
    assert host(tmp_path, {"etc/pip.conf": "no section\n"}) == BuildHost()
