-- Plugins that were installed, what they were granted, and what was set for them.
CREATE TABLE plugins (
    name TEXT PRIMARY KEY NOT NULL,
    source TEXT NOT NULL,
    ref TEXT NOT NULL,
    latest TEXT NOT NULL,
    active TEXT NOT NULL DEFAULT '',
    granted TEXT NOT NULL DEFAULT '[]',
    image TEXT NOT NULL DEFAULT '',
    seen INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    error_at REAL NOT NULL DEFAULT 0,
    installed_at REAL NOT NULL,
    actor TEXT NOT NULL
) STRICT;

CREATE TABLE plugin_settings (
    plugin TEXT NOT NULL REFERENCES plugins (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (plugin, name)
) STRICT;
