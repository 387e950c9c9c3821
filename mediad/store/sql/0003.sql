-- Files that the library has are moved again: undone, trashed, put elsewhere. Such a step is in the journal like
-- any other; what it changed of its arrival and library file is kept with it (`change`), so that it can be taken back.

ALTER TABLE step ADD COLUMN origin INTEGER REFERENCES library (id); -- where the file lay, at `source`; NULL: below
                                                                  -- the folder that its arrival came from
ALTER TABLE step ADD COLUMN keeps INTEGER NOT NULL DEFAULT 0;     -- 1: the file there stays, this is a copy
ALTER TABLE step ADD COLUMN undoes INTEGER;                       -- the step that this one takes back
ALTER TABLE step ADD COLUMN undone INTEGER;                       -- the step that took this one back
ALTER TABLE step ADD COLUMN change TEXT;                          -- JSON: what it changes, see store.changes
ALTER TABLE step ADD COLUMN moved_size INTEGER;                   -- of the file then, and
ALTER TABLE step ADD COLUMN moved_digest BLOB;                    -- its SHA-256, where it is not its arrival's
ALTER TABLE place ADD COLUMN identity TEXT NOT NULL DEFAULT '';   -- of the folder that files were taken from last,
                                                                  -- as files.Files.identity has it
CREATE INDEX file_step ON file (step) WHERE step NOT NULL;
CREATE INDEX step_trashed ON step (library, id) WHERE substr(destination, 1, 14) = X'2E6D65646961642F74726173682F';
CREATE INDEX step_left ON step (origin, source) WHERE origin NOT NULL;
CREATE INDEX step_opened ON step (arrival) WHERE state = 'intent';

-- Content that somebody removed from a library, until that is undone.
CREATE TABLE deleted (
    step    INTEGER NOT NULL,            -- that removed it
    library INTEGER NOT NULL REFERENCES library (id),
    digest  BLOB NOT NULL,               -- as it was then, and as it once came
    PRIMARY KEY (step, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_digest ON deleted (digest);

-- What lies in trash and may go: when it was first seen that its time is over.
CREATE TABLE expiring (
    step   INTEGER PRIMARY KEY,          -- that brought it there
    boot   TEXT NOT NULL,                -- of that look: /proc/sys/kernel/random/boot_id,
    uptime INTEGER NOT NULL,             -- CLOCK_BOOTTIME, seconds, and
    wall   INTEGER NOT NULL              -- microseconds since the epoch
) STRICT;
