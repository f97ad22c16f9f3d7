-- Apps that nothing is deployed to for now.
CREATE TABLE app_locks (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
