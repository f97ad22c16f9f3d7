-- What a layer looked like when it was made, so that damage is noticed (paas.engine.fingerprint);
-- null for a layer of an earlier version.
ALTER TABLE layers ADD COLUMN fingerprint TEXT;

-- Found damaged: it is not used for anything new, and goes with the last image made of it.
ALTER TABLE layers ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
