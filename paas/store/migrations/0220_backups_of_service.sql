-- Which service a backup is of: its name can be another one's by now. 0 where nobody knows.
ALTER TABLE backups ADD COLUMN service_id INTEGER NOT NULL DEFAULT 0;

-- Whether it was restored once: what a later check says of it is no reason to remove it.
ALTER TABLE backups ADD COLUMN proven INTEGER NOT NULL DEFAULT 0 CHECK (proven IN (0, 1));

UPDATE backups SET service_id = coalesce(
    (SELECT id FROM services WHERE services.plugin = backups.plugin
        AND services.name = backups.service AND services.created_at <= backups.started_at), 0);

-- Up to here one that is stored was called bad also for what was not its fault.
UPDATE backups SET proven = 1 WHERE verdict = 'good' OR (verdict = 'bad' AND sha256 <> '');
