-- Which catalogue this is, and of which others it has the rows: so that a backup tells whether it is newer than the
-- catalogue, and is taken in once.

-- One name for what is said of the whole: 'catalogue', a random id that a rebuild gives anew. A backup of a library's
-- rows has further ones, see store.backup_library.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('catalogue', lower(hex(randomblob(16))));

-- The catalogues that this one was rebuilt from.
CREATE TABLE ancestor (
    catalogue TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- A library's rows of another catalogue are here up to this id of that one.
CREATE TABLE taken_in (
    library   INTEGER NOT NULL REFERENCES library (id),
    catalogue TEXT NOT NULL,
    newest    INTEGER NOT NULL,
    PRIMARY KEY (library, catalogue)
) STRICT, WITHOUT ROWID;

ALTER TABLE batch ADD COLUMN carried INTEGER NOT NULL DEFAULT 0; -- 1: a library brought it here, from elsewhere
