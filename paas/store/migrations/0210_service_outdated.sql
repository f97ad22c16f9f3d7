-- Credentials of services that are yet to be revoked: a sealed JSON list of objects, empty for
-- none. A column of `services`, so that it goes with its service.

ALTER TABLE services ADD COLUMN outdated TEXT NOT NULL DEFAULT '';
