-- Boards that are polled only while the others find too little.

ALTER TABLE board ADD COLUMN standby boolean NOT NULL DEFAULT false;
