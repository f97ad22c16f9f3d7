-- What a build step made out of what: the layer cache of all apps.

CREATE TABLE build_steps (
    key        TEXT PRIMARY KEY,  -- sha256 of the layers below, the instruction and its inputs
    layer      TEXT REFERENCES layers ON DELETE CASCADE,  -- null: the step changed no file
    step       TEXT NOT NULL,     -- the instruction, for people
    created_at REAL NOT NULL,
    used_at    REAL NOT NULL      -- to about a day
) STRICT;
CREATE INDEX build_steps_by_layer ON build_steps (layer);
