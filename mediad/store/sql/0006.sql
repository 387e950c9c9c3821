-- Members of a set that come at different times find each other.

ALTER TABLE arrival ADD COLUMN content_id TEXT; -- Apple's ContentIdentifier, which both halves of a Live Photo carry
ALTER TABLE arrival ADD COLUMN kin BLOB;        -- folder and stem as media.companions.key has them; NULL: it had no plan
CREATE INDEX arrival_content_id ON arrival (watch, content_id) WHERE content_id NOT NULL;
CREATE INDEX arrival_kin ON arrival (watch, kin) WHERE kin NOT NULL;

-- Library files that are to move beside a principal that came later, from its intent until that is done.
CREATE TABLE gathering (
    item INTEGER NOT NULL,               -- the principal's step
    file INTEGER NOT NULL,               -- the principal of the set that came earlier
    PRIMARY KEY (item, file)
) STRICT, WITHOUT ROWID;
