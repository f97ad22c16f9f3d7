-- A name (a host, or a host and a path) that redirects instead of serving has a target.
ALTER TABLE domains ADD COLUMN target TEXT NOT NULL DEFAULT '';
ALTER TABLE domains ADD COLUMN code INTEGER NOT NULL DEFAULT 0;

-- Ports beside 80 and 443, or where those lead. scheme: http, https, grpc, grpcs, tcp, udp.
CREATE TABLE ports (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    scheme TEXT NOT NULL,
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    target INTEGER NOT NULL CHECK (target BETWEEN 1 AND 65535),
    PRIMARY KEY (app_id, scheme, port)
) STRICT;

-- The proxy's part of what a push brought along.
ALTER TABLE releases ADD COLUMN snippet TEXT NOT NULL DEFAULT '';

-- Requests of an app in the `span` seconds from `start` on. latencies: a JSON list, how many
-- took up to each of the bounds in paas.model.traffic.
CREATE TABLE traffic (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    span INTEGER NOT NULL,
    classes TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    latencies TEXT NOT NULL,
    PRIMARY KEY (app_id, span, start)
) STRICT;

-- How far the log that traffic is counted from has been read. file: its inode.
CREATE TABLE traffic_read (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    file INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
