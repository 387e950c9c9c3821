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
CREATE INDEX step_trashed ON step (library, id) WHERE substr(destination, 1, 14) = X'2E6D65646961642F74726173682F';
CREATE INDEX step_left ON step (origin, source) WHERE origin NOT NULL;
CREATE INDEX step_opened ON step (arrival) WHERE state = 'intent';

-- Library files leave now. Steps name them as witnesses, so no id is ever given out again: the table is made anew
-- with what SQLite has for that.
CREATE TABLE file_anew (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    library  INTEGER NOT NULL REFERENCES library (id),
    path     BLOB NOT NULL,
    name_key BLOB NOT NULL,              -- the path, NFC and case-folded
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest   BLOB,                       -- NULL: never read
    role     TEXT NOT NULL CHECK (role IN ('principal', 'companion', 'found')),
    item     INTEGER,                    -- the set that brought it, NULL where it was found
    missing  INTEGER NOT NULL DEFAULT 0,
    step     INTEGER                     -- that brought it, NULL where it was found
) STRICT;
INSERT INTO file_anew (id, library, path, name_key, size, mtime_ns, digest, role, item, missing, step)
    SELECT id, library, path, name_key, size, mtime_ns, digest, role, item, missing, step FROM file ORDER BY id;
DROP TABLE file;
ALTER TABLE file_anew RENAME TO file;
INSERT INTO sqlite_sequence (name, seq) SELECT 'file', 0
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'file');
UPDATE sqlite_sequence SET seq = max(seq, (SELECT coalesce(max(witness), 0) FROM step)) WHERE name = 'file';
CREATE INDEX file_name ON file (library, name_key);
CREATE INDEX file_digest ON file (digest) WHERE digest IS NOT NULL;
CREATE INDEX file_unread ON file (size, library) WHERE digest IS NULL AND NOT missing;
CREATE INDEX file_item ON file (item) WHERE item IS NOT NULL;
CREATE INDEX file_step ON file (step) WHERE step NOT NULL;

CREATE TRIGGER file_comes AFTER INSERT ON file WHEN NOT NEW.missing BEGIN
    UPDATE library SET files = files + 1, bytes = bytes + NEW.size WHERE id = NEW.library;
END;
CREATE TRIGGER file_leaves AFTER DELETE ON file WHEN NOT OLD.missing BEGIN
    UPDATE library SET files = files - 1, bytes = bytes - OLD.size WHERE id = OLD.library;
END;
CREATE TRIGGER file_turns AFTER UPDATE OF size, missing, library ON file BEGIN
    UPDATE library SET files = files - 1, bytes = bytes - OLD.size WHERE id = OLD.library AND NOT OLD.missing;
    UPDATE library SET files = files + 1, bytes = bytes + NEW.size WHERE id = NEW.library AND NOT NEW.missing;
END;

-- Content that somebody removed from a library, until that is undone.
CREATE TABLE deleted (
    step    INTEGER NOT NULL,            -- that removed it
    digest  BLOB NOT NULL,               -- as it was then, and as it once came
    library INTEGER NOT NULL REFERENCES library (id),
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
