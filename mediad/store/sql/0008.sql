-- Sources that a move was to remove and could not, by the step that filed them, until they can be or are gone.
CREATE TABLE lingering (
    step INTEGER PRIMARY KEY REFERENCES step (id)
) STRICT;
