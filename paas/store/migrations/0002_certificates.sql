-- The pairs themselves are files, named by fingerprint (paas.proxy.pairs).
CREATE TABLE certificates (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    source TEXT NOT NULL,
    names TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    not_before REAL NOT NULL,
    not_after REAL NOT NULL,
    self_signed INTEGER NOT NULL CHECK (self_signed IN (0, 1)),
    created_at REAL NOT NULL,
    PRIMARY KEY (app_id, fingerprint)
) STRICT;

-- Apps whose certificates come from an ACME authority. not_before: no attempt earlier.
CREATE TABLE renewals (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    failures INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT ''
) STRICT;
