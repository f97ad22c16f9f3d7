-- What a release's app.json wants run at set times: a JSON list of tasks.
ALTER TABLE releases ADD COLUMN cron TEXT NOT NULL DEFAULT '[]';

-- Tasks that were added by hand. task: its id; entry: as in app.json.
CREATE TABLE cron_tasks (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    entry TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (app_id, task)
) STRICT;

-- Of every task: since when nothing of it was due. suspended: NULL as it is declared.
CREATE TABLE cron_state (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    since REAL NOT NULL,
    suspended INTEGER CHECK (suspended IN (0, 1)),
    PRIMARY KEY (app_id, task)
) STRICT;

-- due is NULL for what was started by hand. ending: what it is to be called when it has been
-- stopped.
CREATE TABLE cron_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    command TEXT NOT NULL,
    container TEXT NOT NULL DEFAULT '',
    release INTEGER,
    status TEXT NOT NULL,
    exit_code INTEGER,
    detail TEXT NOT NULL DEFAULT '',
    due REAL,
    until REAL NOT NULL,
    ending TEXT,
    actor TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL
) STRICT;

-- However the clock moves, a task runs once for each of its moments.
CREATE UNIQUE INDEX cron_runs_once ON cron_runs (app_id, task, due) WHERE due IS NOT NULL;
CREATE INDEX cron_runs_going ON cron_runs (app_id) WHERE status = 'running';
