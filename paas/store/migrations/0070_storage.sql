-- Storage that outlives instances. The files of a volume are the engine's.

CREATE TABLE volumes (
    name TEXT PRIMARY KEY NOT NULL,
    bytes INTEGER,
    created_at REAL NOT NULL
) STRICT;

-- Either a volume or a directory of the host, at a path of an app's containers;
-- process_type is empty for all of them.
CREATE TABLE mounts (
    id INTEGER PRIMARY KEY,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    volume TEXT REFERENCES volumes (name),
    directory TEXT,
    target TEXT NOT NULL,
    process_type TEXT NOT NULL DEFAULT '',
    subpath TEXT NOT NULL DEFAULT '',
    read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),
    CHECK ((volume IS NULL) <> (directory IS NULL)),
    UNIQUE (app_id, process_type, target)
) STRICT;

CREATE INDEX mounts_of_volume ON mounts (volume);
