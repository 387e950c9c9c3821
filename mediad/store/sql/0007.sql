-- What the content of library files looks like, made in the background. All of it can be made anew from the files:
-- no backup that a library carries has it, and no rebuild brings it back.

-- The print of a content.
CREATE TABLE print (
    id      INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL UNIQUE,        -- of the content
    version INTEGER NOT NULL,            -- media.likeness.VERSION that made it
    kind    TEXT NOT NULL,               -- picture, film, sound; '' where it has none
    payload BLOB NOT NULL,               -- SHA-256 of the content without metadata, X'' where that is not known
    width   INTEGER NOT NULL,
    height  INTEGER NOT NULL,
    failed  TEXT NOT NULL,               -- why it tells nothing, or not all; else ''
    hashes  BLOB NOT NULL,               -- those that `look` has, eight bytes each
    data    BLOB NOT NULL                -- see media.likeness.encode; some kilobytes at most
) STRICT;
CREATE INDEX print_version ON print (version);
CREATE INDEX print_payload ON print (payload, id) WHERE payload <> X'';
CREATE INDEX print_failed ON print (failed) WHERE failed <> '';

-- Perceptual hashes by their four bands of 16 bits: two hashes that differ in at most seven bits have a band in
-- which they differ in at most one.
CREATE TABLE look (
    band  INTEGER NOT NULL,              -- the band's number, 0 to 3, times 65536, plus its bits
    hash  INTEGER NOT NULL,              -- all 64 bits, signed
    print INTEGER NOT NULL,
    PRIMARY KEY (band, hash, print)
) STRICT, WITHOUT ROWID;

-- Pairs of prints that look alike; each pair stands here both ways.
CREATE TABLE alike (
    a        INTEGER NOT NULL,
    b        INTEGER NOT NULL,
    distance INTEGER NOT NULL,           -- 0 to 7
    PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;

-- Library files whose content may have no print yet, kept by triggers: the queue of the analysis.
CREATE TABLE unprinted (
    file    INTEGER PRIMARY KEY,
    library INTEGER NOT NULL,
    due     INTEGER NOT NULL DEFAULT 0,  -- 0: now; else microseconds since the epoch when it is tried again;
                                         -- -1: not in this life
    tries   INTEGER NOT NULL DEFAULT 0,  -- that failed
    reason  TEXT NOT NULL DEFAULT ''     -- why the last one did
) STRICT;
CREATE INDEX unprinted_due ON unprinted (library, due, file);

-- How many of them are due now, by library.
CREATE TABLE backlog (
    library INTEGER PRIMARY KEY,
    files   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER unprinted_comes AFTER INSERT ON unprinted WHEN NEW.due = 0 BEGIN
    INSERT INTO backlog VALUES (NEW.library, 1) ON CONFLICT DO UPDATE SET files = files + 1;
END;
CREATE TRIGGER unprinted_leaves AFTER DELETE ON unprinted WHEN OLD.due = 0 BEGIN
    UPDATE backlog SET files = files - 1 WHERE library = OLD.library;
END;
CREATE TRIGGER unprinted_waits AFTER UPDATE OF due ON unprinted WHEN OLD.due = 0 AND NEW.due <> 0 BEGIN
    UPDATE backlog SET files = files - 1 WHERE library = OLD.library;
END;
CREATE TRIGGER unprinted_returns AFTER UPDATE OF due ON unprinted WHEN OLD.due <> 0 AND NEW.due = 0 BEGIN
    INSERT INTO backlog VALUES (NEW.library, 1) ON CONFLICT DO UPDATE SET files = files + 1;
END;

-- Companions are never compared on their own.
CREATE TRIGGER file_to_print AFTER INSERT ON file WHEN NEW.role <> 'companion' AND NOT NEW.missing BEGIN
    INSERT OR IGNORE INTO unprinted (file, library) VALUES (NEW.id, NEW.library);
END;
CREATE TRIGGER file_to_print_no_more AFTER DELETE ON file BEGIN
    DELETE FROM unprinted WHERE file = OLD.id;
END;
CREATE TRIGGER file_to_print_anew AFTER UPDATE OF digest, role, missing, library, size, mtime_ns ON file
WHEN (NEW.digest, NEW.role, NEW.missing, NEW.library, NEW.size, NEW.mtime_ns)
    IS NOT (OLD.digest, OLD.role, OLD.missing, OLD.library, OLD.size, OLD.mtime_ns) BEGIN
    DELETE FROM unprinted WHERE file = NEW.id;
    INSERT OR IGNORE INTO unprinted (file, library)
        SELECT NEW.id, NEW.library WHERE NEW.role <> 'companion' AND NOT NEW.missing;
END;

INSERT INTO unprinted (file, library) SELECT id, library FROM file WHERE role <> 'companion' AND NOT missing;
