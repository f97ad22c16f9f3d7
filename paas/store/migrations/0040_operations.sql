-- What operating an app between two pushes needs. Config values are sealed from here on
-- (paas.host.secrets): `make_key`, `seal` are the program's.
SELECT make_key();

UPDATE config SET value = seal(value, 'config/' || app_id || '/' || key);
UPDATE releases SET config = seal(config, 'release/' || app_id || '/' || number);

-- The variables that every app has, below its own.
CREATE TABLE global_config (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

-- Who changed which variable; never the values. app_id is NULL for those of every app.
CREATE TABLE config_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    what TEXT NOT NULL,
    key TEXT NOT NULL
) STRICT;

CREATE INDEX config_history_of_app ON config_history (app_id);

-- inherited: the keys of its config that came from global_config. limits: by process type.
ALTER TABLE releases ADD COLUMN inherited TEXT NOT NULL DEFAULT '[]';
ALTER TABLE releases ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';

-- app_id is NULL for the server's own; process_type is empty for all types.
CREATE TABLE process_settings (
    app_id INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    process_type TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX process_settings_once
    ON process_settings (ifnull(app_id, 0), process_type, name);

-- The process types whose old instances a deploy stopped first: nobody starts them meanwhile.
ALTER TABLE deploys ADD COLUMN held TEXT NOT NULL DEFAULT '[]';

-- Whether its readiness checks hold: 0 keeps it from being sent requests.
ALTER TABLE instances ADD COLUMN ready INTEGER NOT NULL DEFAULT 1 CHECK (ready IN (0, 1));
