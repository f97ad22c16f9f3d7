"""All cases of the corpus."""

from tests.engine.build.corpus import (
    adding,
    configuring,
    copying,
    ignoring,
    newer,
    parsing,
    running,
    staging,
    variables,
)

CORPUS = (
    *parsing.CASES,
    *configuring.CASES,
    *variables.CASES,
    *running.CASES,
    *copying.CASES,
    *adding.CASES,
    *ignoring.CASES,
    *staging.CASES,
    *newer.CASES,
)
