-- Ports of the server that lead to services. allow is a JSON list of networks; tls says who
-- speaks it there.
CREATE TABLE service_exposures (
    service_id INTEGER PRIMARY KEY REFERENCES services (id) ON DELETE CASCADE,
    port INTEGER NOT NULL UNIQUE,
    allow TEXT NOT NULL DEFAULT '[]',
    tls TEXT NOT NULL CHECK (tls IN ('nobody', 'proxy', 'server'))
) STRICT;

-- What services show to clients from outside. It outlives an exposure: clients have it.
CREATE TABLE service_certificates (
    service_id INTEGER PRIMARY KEY REFERENCES services (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    chain TEXT NOT NULL,
    key TEXT NOT NULL
) STRICT;
