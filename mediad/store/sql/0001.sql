-- One catalogue, one journal, one database: they commit together.
-- Times are microseconds since the epoch. Paths are bytes, relative to their watch or library.

CREATE TABLE library (
    id      INTEGER PRIMARY KEY,
    marker  TEXT NOT NULL UNIQUE,        -- the id in .mediad/library.toml
    name    TEXT NOT NULL,               -- its name in the configuration when last seen
    path    BLOB NOT NULL,               -- its root when last seen
    indexed INTEGER                      -- when it was first seen whole; NULL: what lies there is not known yet
) STRICT;

-- What one watch took between two rests.
CREATE TABLE batch (
    id      INTEGER PRIMARY KEY,
    watch   TEXT NOT NULL,
    root    BLOB NOT NULL,               -- the watch's root then
    started INTEGER NOT NULL,
    ended   INTEGER
) STRICT;

-- One row for every file, and every state of a file, that a watch ever showed.
CREATE TABLE arrival (
    id         INTEGER PRIMARY KEY,
    watch      TEXT NOT NULL,
    path       BLOB NOT NULL,
    size       INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    ctime_ns   INTEGER NOT NULL,
    ino        INTEGER NOT NULL,
    seen       INTEGER NOT NULL,
    stays      INTEGER NOT NULL,         -- 1 while the file is still where it was seen
    outcome    TEXT CHECK (outcome IN ('filed', 'duplicate', 'quarantined', 'failed', 'ignored', 'gone')),
    reason     TEXT NOT NULL DEFAULT '', -- outcome NULL: in flight
    code       TEXT NOT NULL DEFAULT '', -- the reason's stable name
    digest     BLOB,
    kind       TEXT,
    taken      TEXT,                     -- local wall-clock time, ISO 8601
    offset_min INTEGER,
    source     TEXT,                     -- where the date came from
    confidence TEXT,
    evidence   TEXT                      -- JSON: candidates, what decided that it had settled, rule, doubts
) STRICT;
CREATE INDEX arrival_path ON arrival (watch, path);
CREATE INDEX arrival_orphan ON arrival (watch, path) WHERE code = 'orphan';

-- The journal: one row a file and step, written before the step is taken.
CREATE TABLE step (
    id          INTEGER PRIMARY KEY,
    item        INTEGER NOT NULL,        -- the set: the id of its principal's step
    batch       INTEGER NOT NULL REFERENCES batch (id),
    arrival     INTEGER NOT NULL REFERENCES arrival (id),
    action      TEXT NOT NULL,           -- move, copy, hardlink, leave, trash, quarantine
    state       TEXT NOT NULL CHECK (state IN ('intent', 'done', 'reverted')),
    library     INTEGER REFERENCES library (id),
    destination BLOB,                    -- relative to the library
    witness     INTEGER,                 -- the file on whose word it is a duplicate
    note        TEXT NOT NULL DEFAULT '',
    time        INTEGER NOT NULL
) STRICT;
CREATE INDEX step_open ON step (id) WHERE state = 'intent';
CREATE INDEX step_arrival ON step (arrival);

-- What lies in the libraries.
CREATE TABLE file (
    id       INTEGER PRIMARY KEY,
    library  INTEGER NOT NULL REFERENCES library (id),
    path     BLOB NOT NULL,
    name_key BLOB NOT NULL,              -- the path, NFC and case-folded
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest   BLOB,                       -- NULL: never read
    role     TEXT NOT NULL CHECK (role IN ('principal', 'companion', 'found')),
    item     INTEGER,                    -- the set that brought it, NULL where it was found
    missing  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX file_name ON file (library, name_key);
CREATE INDEX file_digest ON file (digest) WHERE digest IS NOT NULL;
CREATE INDEX file_unread ON file (size) WHERE digest IS NULL;
CREATE INDEX file_item ON file (item) WHERE item IS NOT NULL;

-- Folders that mediad made in a library: only these may it ever remove, when empty.
CREATE TABLE folder (
    library INTEGER NOT NULL REFERENCES library (id),
    path    BLOB NOT NULL,
    PRIMARY KEY (library, path)
) STRICT, WITHOUT ROWID;
