"""A push, in order: receive, build, release, run, route."""
