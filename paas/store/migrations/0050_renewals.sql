-- When the authority wants a certificate renewed (RFC 9773), and when to ask it again.
ALTER TABLE renewals ADD COLUMN suggested_at REAL;
ALTER TABLE renewals ADD COLUMN ask_at REAL NOT NULL DEFAULT 0;
