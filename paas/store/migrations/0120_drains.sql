-- Where the output of apps is sent on to. url is sealed: it may hold a password.
CREATE TABLE drains (
    id TEXT PRIMARY KEY NOT NULL,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

CREATE INDEX drains_of_app ON drains (app_id);
