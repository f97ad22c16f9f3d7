-- Which release a container's output is from, and since when: it outlives the instance.
CREATE TABLE log_releases (
    container TEXT NOT NULL,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    release INTEGER NOT NULL,
    since REAL NOT NULL
) STRICT;

CREATE INDEX log_releases_of_app ON log_releases (app_id);
INSERT INTO log_releases SELECT container, app_id, release, created_at FROM instances;
