-- Whether the issuer of a certificate is asked how it stands (OCSP stapling).
ALTER TABLE certificates ADD COLUMN stapled INTEGER NOT NULL DEFAULT 0;
