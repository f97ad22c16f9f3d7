-- The directories of `RUN --mount=type=cache`, each of one owner (an app) and one id.

CREATE TABLE build_caches (
    scope   TEXT NOT NULL,
    id      TEXT NOT NULL,
    name    TEXT NOT NULL UNIQUE,  -- of the directory, below <engine>/fs/caches
    used_at REAL NOT NULL,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;
