-- Who has which address. A number counts from the start of the prefix.
CREATE TABLE leases (
    container TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    number INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

-- The address handed out last: the next one is behind it, so none comes back soon.
CREATE TABLE cursor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO cursor (id, number) VALUES (1, 0);

-- Where services lead. `service` is the key in the engine's database.
CREATE TABLE backends (
    service TEXT NOT NULL,
    position INTEGER NOT NULL,
    number INTEGER NOT NULL,
    port INTEGER NOT NULL,
    PRIMARY KEY (service, position)
) STRICT, WITHOUT ROWID;
