-- Who is told of events. app_id is NULL for the server: of every app. url is sealed: it may hold
-- a token. seen: the newest event that it was told of, or need not be. every: not only trouble.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY NOT NULL,
    app_id INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    every INTEGER NOT NULL CHECK (every IN (0, 1)),
    seen INTEGER NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    actor TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;
