-- Every backup that was begun. Rows outlive their service, by its plugin and name: a backup
-- is worth most when the service is gone. verdict: running, good, bad, unchecked.
CREATE TABLE backups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin TEXT NOT NULL,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    target TEXT NOT NULL,
    file TEXT NOT NULL,
    verdict TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    bytes INTEGER NOT NULL DEFAULT 0,
    sha256 TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL DEFAULT 0,
    started_at REAL NOT NULL,
    scheduled INTEGER NOT NULL DEFAULT 0 CHECK (scheduled IN (0, 1))
) STRICT;

CREATE INDEX backups_of_service ON backups (plugin, service);

-- When to back up, where to, and what to keep. credentials are sealed.
CREATE TABLE backup_schedules (
    service_id INTEGER PRIMARY KEY REFERENCES services (id) ON DELETE CASCADE,
    cron TEXT NOT NULL,
    target TEXT NOT NULL,
    keep_count INTEGER NOT NULL DEFAULT 0,
    keep_days INTEGER NOT NULL DEFAULT 0,
    verify INTEGER NOT NULL DEFAULT 1 CHECK (verify IN (0, 1)),
    next_at REAL NOT NULL
) STRICT;

CREATE TABLE backup_credentials (
    service_id INTEGER PRIMARY KEY REFERENCES services (id) ON DELETE CASCADE,
    sealed TEXT NOT NULL
) STRICT;

-- Volumes of servers that are no service yet: whoever finds one that nobody works on
-- removes it. All other volumes are somebody's, or kept.
CREATE TABLE service_candidates (
    volume TEXT PRIMARY KEY NOT NULL,
    service_id INTEGER NOT NULL
) STRICT;
