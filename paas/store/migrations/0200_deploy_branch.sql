-- The deploy branch of an app is a setting as any other, and no second fact beside it.

INSERT OR REPLACE INTO settings (app_id, name, value)
    SELECT id, 'deploy-branch', branch FROM apps WHERE branch IS NOT NULL;
ALTER TABLE apps DROP COLUMN branch;
