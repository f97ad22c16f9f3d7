-- What the engine keeps: layers, the images made of them, names of images, uid ranges.

-- One unpacked layer directory, <engine>/fs/l/<layer>. The row is written last: a directory
-- without one is left from a crash, and is collected.
CREATE TABLE layers (
    layer      TEXT PRIMARY KEY,
    diff_id    TEXT,              -- sha256 of its uncompressed tar, once that was made or read
    bytes      INTEGER NOT NULL,  -- on disk
    created_at REAL NOT NULL
) STRICT;
CREATE INDEX layers_by_diff_id ON layers (diff_id);

-- Compressed registry blobs whose content is here as a layer: not downloaded again.
CREATE TABLE blobs (
    digest  TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    bytes   INTEGER NOT NULL      -- compressed
) STRICT;

CREATE TABLE images (
    image      TEXT PRIMARY KEY,  -- sha256:…
    config     TEXT NOT NULL,     -- JSON, OCI image-spec config.md
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE image_layers (
    image    TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
    position INTEGER NOT NULL,    -- 0 is the lowest
    layer    TEXT NOT NULL REFERENCES layers,
    PRIMARY KEY (image, position)
) STRICT;
CREATE INDEX image_layers_by_layer ON image_layers (layer);

CREATE TABLE refs (
    ref   TEXT PRIMARY KEY,       -- normalised, with a tag
    image TEXT NOT NULL REFERENCES images ON DELETE CASCADE
) STRICT;
CREATE INDEX refs_by_image ON refs (image);

CREATE TABLE user_ranges (
    base  INTEGER PRIMARY KEY,    -- the host's id of a container's root
    owner TEXT NOT NULL UNIQUE
) STRICT;
