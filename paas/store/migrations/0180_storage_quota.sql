-- How large a volume may become, as the kernel enforces it; NULL is any size.

ALTER TABLE volumes ADD COLUMN quota INTEGER;
