-- Named networks: what belongs to one is reached by the others in it (paas.engine.network.named).

CREATE TABLE named_networks (
    name TEXT PRIMARY KEY NOT NULL,
    created_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- An owner is whose containers they are, such as `app:7`.
CREATE TABLE network_members (
    network TEXT NOT NULL REFERENCES named_networks (name),
    owner TEXT NOT NULL,
    PRIMARY KEY (network, owner)
) STRICT, WITHOUT ROWID;

-- Further names of a member; one leads to one owner, in all networks, as there is one resolver.
CREATE TABLE network_aliases (
    alias TEXT PRIMARY KEY NOT NULL,
    network TEXT NOT NULL,
    owner TEXT NOT NULL,
    FOREIGN KEY (network, owner) REFERENCES network_members (network, owner) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
