-- What the control socket asks: where arrivals came from, counts that need no counting, pauses, stories.

-- The folders that arrivals and batches name by `watch`.
CREATE TABLE place (
    key  TEXT PRIMARY KEY,               -- as arrival.watch has it: a watch's name, else 'import:N', 'NAME@N'
    kind TEXT NOT NULL CHECK (kind IN ('watch', 'import', 'former')),
    root BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX place_root ON place (root);
INSERT OR IGNORE INTO place (key, kind, root) SELECT watch, 'watch', root FROM batch ORDER BY id DESC;

ALTER TABLE batch ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE arrival ADD COLUMN dismissed INTEGER NOT NULL DEFAULT 0;  -- 1: failed or quarantined, and not reported
ALTER TABLE step ADD COLUMN source BLOB;  -- below the batch's root, where it is not the arrival's path there
ALTER TABLE file ADD COLUMN step INTEGER; -- that brought it, NULL where it was found
CREATE INDEX step_item ON step (item);
UPDATE file SET step = (
    SELECT step.id FROM step
    WHERE step.item = file.item AND step.library = file.library AND step.destination = file.path
        AND step.state = 'done'
    ORDER BY step.id DESC LIMIT 1
) WHERE item IS NOT NULL;

DROP INDEX file_unread;
CREATE INDEX file_unread ON file (size, library) WHERE digest IS NULL AND NOT missing;
CREATE INDEX step_batch ON step (batch);
CREATE INDEX arrival_trouble ON arrival (id) WHERE outcome IN ('failed', 'quarantined') AND NOT dismissed;
CREATE INDEX arrival_doubtful ON arrival (id) WHERE confidence = 'low';

-- A pause of everything ('') or of a watch or library; `until` NULL: until it is resumed.
CREATE TABLE pause (
    name  TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    until INTEGER
) STRICT, WITHOUT ROWID;

-- Arrivals by what became of them, kept by triggers. What was given back waits in the queue again, and is
-- not counted here. No trigger looks at a watch's name: who renames one moves its rows.
CREATE TABLE tally (
    watch     TEXT NOT NULL,
    outcome   TEXT NOT NULL,
    dismissed INTEGER NOT NULL,
    files     INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (watch, outcome, dismissed)
) STRICT, WITHOUT ROWID;
INSERT INTO tally SELECT watch, outcome, dismissed, count(*), sum(size) FROM arrival
    WHERE outcome IS NOT NULL AND (outcome, code) IS NOT ('failed', 'reverted')
    GROUP BY watch, outcome, dismissed;

CREATE TRIGGER arrival_comes AFTER INSERT ON arrival
WHEN NEW.outcome IS NOT NULL AND (NEW.outcome, NEW.code) IS NOT ('failed', 'reverted') BEGIN
    INSERT INTO tally VALUES (NEW.watch, NEW.outcome, NEW.dismissed, 1, NEW.size)
        ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER arrival_leaves AFTER DELETE ON arrival
WHEN OLD.outcome IS NOT NULL AND (OLD.outcome, OLD.code) IS NOT ('failed', 'reverted') BEGIN
    UPDATE tally SET files = files - 1, bytes = bytes - OLD.size
        WHERE watch = OLD.watch AND outcome = OLD.outcome AND dismissed = OLD.dismissed;
END;
CREATE TRIGGER arrival_was AFTER UPDATE OF outcome, code, dismissed, size ON arrival
WHEN OLD.outcome IS NOT NULL AND (OLD.outcome, OLD.code) IS NOT ('failed', 'reverted') BEGIN
    UPDATE tally SET files = files - 1, bytes = bytes - OLD.size
        WHERE watch = OLD.watch AND outcome = OLD.outcome AND dismissed = OLD.dismissed;
END;
CREATE TRIGGER arrival_is AFTER UPDATE OF outcome, code, dismissed, size ON arrival
WHEN NEW.outcome IS NOT NULL AND (NEW.outcome, NEW.code) IS NOT ('failed', 'reverted') BEGIN
    INSERT INTO tally VALUES (NEW.watch, NEW.outcome, NEW.dismissed, 1, NEW.size)
        ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes;
END;

-- What a library holds, kept by triggers.
ALTER TABLE library ADD COLUMN files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE library ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE library SET
    files = (SELECT count(*) FROM file WHERE file.library = library.id AND NOT missing),
    bytes = (SELECT coalesce(sum(size), 0) FROM file WHERE file.library = library.id AND NOT missing);

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
