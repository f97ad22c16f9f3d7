-- Ports of the host that lead to a container, for as long as that is attached. Address
-- 0.0.0.0 is every one of the host's.
CREATE TABLE published (
    protocol TEXT NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    container TEXT NOT NULL,
    target INTEGER NOT NULL,
    PRIMARY KEY (protocol, address, port)
) STRICT, WITHOUT ROWID;
