-- Postings of one kin may be one job; those that are carry one fingerprint. See core/same_job.py.

ALTER TABLE posting ADD COLUMN kin bytea CHECK (octet_length(kin) = 16);

CREATE INDEX posting_kin ON posting (kin, id);
