-- What a service weighs where processors are short, in the weights of control groups version 2.

ALTER TABLE services ADD COLUMN cpu_weight INTEGER NOT NULL DEFAULT 1000;
