-- The network of the containers, as far as it outlives a reboot (paas.engine.network).
-- Leases and backends do not: they are in /run, with the kernel's state they describe.

CREATE TABLE network (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    prefix TEXT NOT NULL,
    -- The service address handed out last: a released one is not another's soon, since a
    -- proxy may still be configured with it.
    service_cursor INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE services (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
) STRICT;

-- Position 0 is the virtual address, the others are the slots. A number counts from the
-- start of the prefix.
CREATE TABLE service_addresses (
    number INTEGER PRIMARY KEY,
    service INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    UNIQUE (service, position)
) STRICT;

-- Instances of `source` may open connections to instances of `target`.
CREATE TABLE network_links (
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;
