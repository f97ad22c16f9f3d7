-- Desired state. Times are seconds since the epoch.

-- AUTOINCREMENT: an id is never used again; repositories, uid ranges and addresses are
-- named by it.
CREATE TABLE apps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    stopped INTEGER NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1)),
    branch TEXT,
    last_release INTEGER NOT NULL DEFAULT 0,
    live INTEGER,
    FOREIGN KEY (id, live) REFERENCES releases (app_id, number) DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE TABLE config (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (app_id, key)
) STRICT;

CREATE TABLE formation (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process_type TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (app_id, process_type)
) STRICT;

-- config, processes, formation and health are JSON objects: a release is read and
-- written whole, and never changed.
CREATE TABLE releases (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number > 0),
    image TEXT NOT NULL,
    revision TEXT,
    config TEXT NOT NULL,
    processes TEXT NOT NULL,
    formation TEXT NOT NULL,
    health TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (app_id, number)
) STRICT;

CREATE TABLE deploys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    revision TEXT,
    actor TEXT NOT NULL,
    release INTEGER,
    error TEXT NOT NULL DEFAULT '',
    started_at REAL NOT NULL,
    ended_at REAL
) STRICT;

CREATE INDEX deploys_of_app ON deploys (app_id);
CREATE INDEX deploys_unfinished ON deploys (id) WHERE ended_at IS NULL;

CREATE TABLE instances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    release INTEGER NOT NULL,
    process_type TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    container TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    state TEXT NOT NULL,
    deploy INTEGER REFERENCES deploys (id) ON DELETE SET NULL,
    created_at REAL NOT NULL,
    restarts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX instances_of_app ON instances (app_id);
CREATE INDEX instances_of_deploy ON instances (deploy);

CREATE TABLE domains (
    name TEXT PRIMARY KEY NOT NULL,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    created_at REAL NOT NULL
) STRICT;

CREATE INDEX domains_of_app ON domains (app_id);

CREATE TABLE keys (
    name TEXT PRIMARY KEY NOT NULL,
    public_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL
) STRICT;

-- What was done by whom. The app is named, not referenced: the record outlives it.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    app TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

-- app_id is NULL for the server's own.
CREATE TABLE settings (
    app_id INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX settings_once ON settings (ifnull(app_id, 0), name);
