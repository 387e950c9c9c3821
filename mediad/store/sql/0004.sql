-- Library files are read again and held against what is known of them.

ALTER TABLE library ADD COLUMN identity TEXT NOT NULL DEFAULT ''; -- of its root when last seen, as
                                                                 -- files.Files.identity has it

-- How far the look at all of a library is, and when the last whole one ended.
CREATE TABLE pass (
    library INTEGER PRIMARY KEY REFERENCES library (id) ON DELETE CASCADE,
    started INTEGER,                     -- NULL: none is under way
    cursor  INTEGER NOT NULL DEFAULT 0,  -- the last file that was looked at
    until   INTEGER NOT NULL DEFAULT 0,  -- the last file that there was when it began
    ended   INTEGER                      -- the last whole one
) STRICT;

-- Files that are not as they should be, until they are again or somebody accepts them.
CREATE TABLE finding (
    file  INTEGER PRIMARY KEY REFERENCES file (id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('edited', 'changed', 'moved', 'missing', 'unreadable')),
    found INTEGER NOT NULL,
    place BLOB,                          -- where it was moved to, in its library
    error TEXT NOT NULL DEFAULT ''
) STRICT;

-- What a file should be, instead of what was filed: somebody said so, or it is what was known of it before its row
-- got another digest, or none, since other content was found there.
CREATE TABLE accepted (
    file     INTEGER PRIMARY KEY REFERENCES file (id) ON DELETE CASCADE,
    digest   BLOB,                       -- NULL: that it is missing
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL
) STRICT;
