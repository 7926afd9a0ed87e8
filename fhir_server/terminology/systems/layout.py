"""The tables of a held code system: one read-only SQLite file for each version of a system."""

FORMAT = 1
"""Of the files; a file of another format is not read, and loading the system again replaces it."""

SUFFIX = ".codes"

# Concepts are numbered so that what is below one is range(id, last) and the intervals of `more` (see numbering).
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE concept (
  id INTEGER PRIMARY KEY, code TEXT NOT NULL COLLATE {collation}, display TEXT NOT NULL, inactive INTEGER NOT NULL,
  abstract INTEGER NOT NULL, status TEXT NOT NULL, last INTEGER NOT NULL, more BLOB, definition TEXT NOT NULL
);
CREATE TABLE edge (child INTEGER, parent INTEGER, PRIMARY KEY (child, parent)) WITHOUT ROWID;
CREATE TABLE usage (id INTEGER PRIMARY KEY, system TEXT, code TEXT, display TEXT);
CREATE TABLE designation (
  concept INTEGER, place INTEGER, value TEXT NOT NULL, language TEXT NOT NULL, use INTEGER, dialects TEXT NOT NULL,
  PRIMARY KEY (concept, place)
) WITHOUT ROWID;
CREATE TABLE kind (id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, concept INTEGER);
CREATE TABLE property (
  concept INTEGER, grp INTEGER, kind INTEGER, value TEXT, PRIMARY KEY (concept, grp, kind, value)
) WITHOUT ROWID;
CREATE TABLE relation (
  source INTEGER, grp INTEGER, kind INTEGER, target INTEGER, PRIMARY KEY (source, grp, kind, target)
) WITHOUT ROWID;
CREATE TABLE member (list INTEGER, concept INTEGER, PRIMARY KEY (list, concept)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (
  said, content='', detail='none', columnsize=0, tokenize="unicode61 remove_diacritics 2"
);
"""

STAGES = """
CREATE TEMP TABLE new_edge (child INTEGER, parent INTEGER);
CREATE TEMP TABLE new_designation (concept INTEGER, value TEXT, language TEXT, use INTEGER, dialects TEXT);
CREATE TEMP TABLE new_property (concept INTEGER, grp INTEGER, kind INTEGER, value TEXT);
CREATE TEMP TABLE new_relation (source INTEGER, grp INTEGER, kind INTEGER, target INTEGER);
CREATE TEMP TABLE new_member (list INTEGER, concept INTEGER);
"""

# Rows arrive in the order of the source and go into their tables in the order of the keys, which is what is fast.
MOVES = (
    "INSERT OR IGNORE INTO edge SELECT child, parent FROM new_edge ORDER BY 1, 2",
    "INSERT INTO designation SELECT concept, rowid, value, language, use, dialects FROM new_designation"
    " ORDER BY concept, rowid",
    "INSERT OR IGNORE INTO property SELECT concept, grp, kind, value FROM new_property ORDER BY 1, 2, 3, 4",
    "INSERT OR IGNORE INTO relation SELECT source, grp, kind, target FROM new_relation ORDER BY 1, 2, 3, 4",
    "INSERT OR IGNORE INTO member SELECT list, concept FROM new_member ORDER BY 1, 2",
)

INDEXES = (
    "CREATE INDEX edge_down ON edge (parent, child)",
    "CREATE INDEX property_value ON property (kind, value, concept)",
    "CREATE INDEX relation_target ON relation (kind, target, source, grp)",
    "INSERT INTO words (rowid, said) SELECT id, code || ' ' || display || ' ' || coalesce("
    "(SELECT group_concat(value, ' ') FROM designation WHERE concept = id), '') FROM concept",
    "INSERT INTO words (words) VALUES ('optimize')",
)
