-- Databases made by plugins. credentials, options and environment are JSON objects or lists;
-- credentials and environment are sealed.
CREATE TABLE services (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    image TEXT NOT NULL DEFAULT '',
    reference TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL,
    volume TEXT NOT NULL DEFAULT '',
    container TEXT UNIQUE,
    memory INTEGER NOT NULL,
    credentials TEXT NOT NULL,
    options TEXT NOT NULL DEFAULT '[]',
    environment TEXT NOT NULL,
    restarts INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    UNIQUE (plugin, name)
) STRICT;

-- Which config variables of which app hold the URL of which service. A service with
-- links is never deleted by accident: there is no cascade from that side.
CREATE TABLE service_links (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    variable TEXT NOT NULL,
    service_id INTEGER NOT NULL REFERENCES services (id),
    scheme TEXT NOT NULL DEFAULT '',
    query TEXT NOT NULL DEFAULT '',
    database TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (app_id, variable)
) STRICT;

CREATE INDEX links_of_service ON service_links (service_id);
