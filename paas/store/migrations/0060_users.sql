-- Whoever had a key before there were roles administers everything, as before.
CREATE TABLE users (
    name TEXT PRIMARY KEY NOT NULL,
    admin INTEGER NOT NULL CHECK (admin IN (0, 1)),
    created_at REAL NOT NULL
) STRICT;

INSERT INTO users (name, admin, created_at) SELECT name, 1, created_at FROM keys;

ALTER TABLE keys ADD COLUMN user TEXT REFERENCES users (name) ON DELETE CASCADE;
UPDATE keys SET user = name;

CREATE TABLE roles (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (app_id, user)
) STRICT;

CREATE INDEX roles_of_user ON roles (user);
