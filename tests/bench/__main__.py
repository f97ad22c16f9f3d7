"""`./test.sh --bench [NAME…]`: run the benchmarks on a PaaS of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.bench import (
    bench_build,
    bench_buildpacks,
    bench_cli,
    bench_config,
    bench_crowd,
    bench_docker,
    bench_engine,
    bench_hundred,
    bench_jobs,
    bench_mariadb,
    bench_plugins,
    bench_postgres,
    bench_proxy,
    bench_proxy_many,
    bench_proxy_reload,
    bench_push,
    bench_reboot,
    bench_rollback,
    bench_swap,
    bench_switches,
    bench_unpack,
)
from tests.bench.figures import Row, as_json, table
from tests.push.server import Server

Benchmark = tuple[str, Callable[[Server], Sequence[Row]]]

BENCHMARKS: dict[str, Benchmark] = {
    "push": (bench_push.TITLE, bench_push.measure),
    "buildpacks": (bench_buildpacks.TITLE, bench_buildpacks.measure),
    "cli": (bench_cli.TITLE, bench_cli.measure),
    "config": (bench_config.TITLE, bench_config.measure),
    "crowd": (bench_crowd.TITLE, bench_crowd.measure),
    "reboot": (bench_reboot.TITLE, bench_reboot.measure),
    "rollback": (bench_rollback.TITLE, bench_rollback.measure),
    "engine": (bench_engine.TITLE, bench_engine.measure),
    "hundred": (bench_hundred.TITLE, bench_hundred.measure),
    "docker": (bench_docker.TITLE, bench_docker.measure),
    "build": (bench_build.TITLE, bench_build.measure),
    "swap": (bench_swap.TITLE, bench_swap.measure),
    "switches": (bench_switches.TITLE, bench_switches.measure),
    "proxy": (bench_proxy.TITLE, bench_proxy.measure),
    "proxy-many": (bench_proxy_many.TITLE, bench_proxy_many.measure),
    "proxy-reload": (bench_proxy_reload.TITLE, bench_proxy_reload.measure),
    "jobs": (bench_jobs.TITLE, bench_jobs.measure),
    "plugins": (bench_plugins.TITLE, bench_plugins.measure),
    "postgres": (bench_postgres.TITLE, bench_postgres.measure),
    "mariadb": (bench_mariadb.TITLE, bench_mariadb.measure),
    "unpack": (bench_unpack.TITLE, bench_unpack.measure),
}

OURS = tuple(name for name in BENCHMARKS if name != "docker")
"""What runs unasked: the comparison needs packages that nothing else here does."""


def main(names: Sequence[str]) -> int:
    """Run those named, or all; tables first, then one line of JSON each."""
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(
            f" !     no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}",
            file=sys.stderr,
        )
        return 2
    server = Server.start()
    lines = []
    try:
        server.know_server(options="")
        for name in names or OURS:
            title, measure = BENCHMARKS[name]
            rows = measure(server)
            print(table(title, rows), end="\n\n", flush=True)
            lines.append(as_json(title, rows))
    finally:
        server.destroy()
    print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
