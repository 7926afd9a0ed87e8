"""The tables of the embedded store, and why they are so (docs/adr/0003-sqlite-layout.md).

Everything that an index row holds is a small integer: types, parameters, token values, URIs and resources are interned
once, so a row is about ten bytes, new rows go to the right edge of their B-tree, and a predicate is one key look-up.
`pid` is the id of a version and grows with the log; `rid` is a logical resource, which also exists for the target of a
reference that was never written (pid NULL). A version is current while `to_txid` is CURRENT, and belongs to snapshot T
if `from_txid <= T < to_txid`. Index rows of superseded versions wait in `stale` until page links cannot ask for them.

Keys of `meta`: `format` (of these tables), `store` (random id of the record), `pid` (the last pid or cid given out),
`swept` (page links of a txid below it are gone), `epoch` (grows when interned rows are removed, by `purge` alone: then
every memo of an interned id is void; also when the key of a patient is destroyed), `moving` (what a move that is not
finished has noted; nobody serves the record meanwhile). In encrypted stores also
`patient_keys` (id of the file of patient keys that belongs to this record), `sealed` (pid up to which bodies are in
envelopes, where the record is older than those), `doomed:N` (a key that is being destroyed) and `index` (`missing`: the
record comes from a backup, which holds no index of an encrypted store).
"""

FORMAT = 3
CURRENT = 1 << 62
LONG = 2 * 86_400_000_000  # microseconds; a date row that lasts longer has a place in an index of its own

# The audit log, outside the version log: `seq` counts without gaps. An agent is who acted and from where, shared by all
# rows of a session. audit_key.key: minus the agent, or a hash of a text; one look-up finds the rows of a patient.
AUDIT_TABLES = """
CREATE TABLE audit(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, agent INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE audit_agent(agent INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE audit_key(key INTEGER, seq INTEGER, PRIMARY KEY(key, seq)) STRICT, WITHOUT ROWID;
"""

# Whose key is which: the number of a slot in the file of patient keys, which is no part of the record.
PATIENT_KEY_TABLES = """
CREATE TABLE patient_key(patient TEXT PRIMARY KEY, key INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX patient_key_key ON patient_key(key);
"""

TABLES = f"""
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
-- total: current resources that are not deleted; versions: rows of `version`
CREATE TABLE type(type INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, total INTEGER NOT NULL DEFAULT 0,
  versions INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE tx(txid INTEGER PRIMARY KEY, last_updated INTEGER NOT NULL, first_pid INTEGER NOT NULL) STRICT;
CREATE INDEX tx_time ON tx(last_updated);

CREATE TABLE resource(
  rid INTEGER PRIMARY KEY, type INTEGER NOT NULL, id TEXT NOT NULL,
  pid INTEGER,                       -- current version, a deletion included; NULL: only referred to
  UNIQUE(type, id)) STRICT;
CREATE TABLE version(
  pid INTEGER PRIMARY KEY, rid INTEGER NOT NULL, type INTEGER NOT NULL, version INTEGER NOT NULL,
  from_txid INTEGER NOT NULL, to_txid INTEGER NOT NULL DEFAULT {CURRENT},
  last_updated INTEGER NOT NULL, method INTEGER NOT NULL,   -- method: 1 POST, 2 PUT, 3 PATCH, 4 DELETE
  deleted INTEGER NOT NULL) STRICT;
CREATE INDEX version_type ON version(type, pid);
CREATE INDEX version_rid ON version(rid, version);
CREATE TABLE body(pid INTEGER PRIMARY KEY, splice INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE stale(pid INTEGER PRIMARY KEY, to_txid INTEGER NOT NULL) STRICT;

-- param.type is a resource type's name, or '#Type' for contained resources of that type
CREATE TABLE param(param INTEGER PRIMARY KEY, type TEXT NOT NULL, code TEXT NOT NULL, UNIQUE(type, code)) STRICT;
CREATE TABLE system(system INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE) STRICT;   -- 0 is "no system" (url '')
CREATE TABLE token_value(
  value INTEGER PRIMARY KEY, code TEXT NOT NULL, system INTEGER NOT NULL, UNIQUE(code, system)) STRICT;
CREATE INDEX token_value_system ON token_value(system);
CREATE TABLE uri_value(value INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE token(param INTEGER, value INTEGER, pid INTEGER, PRIMARY KEY(param, value, pid)) STRICT, WITHOUT ROWID;
CREATE TABLE string(param INTEGER, folded TEXT, pid INTEGER, original TEXT,
  PRIMARY KEY(param, folded, pid, original)) STRICT, WITHOUT ROWID;
CREATE TABLE date(param INTEGER, low INTEGER, pid INTEGER, high INTEGER,
  PRIMARY KEY(param, low, pid, high)) STRICT, WITHOUT ROWID;
-- versions with several rows of `date` under one parameter, for which `ge` and `lt` may hold on different rows
CREATE TABLE several_dates(param INTEGER, pid INTEGER, PRIMARY KEY(param, pid)) STRICT, WITHOUT ROWID;
CREATE TABLE number(param INTEGER, low REAL, pid INTEGER, high REAL,
  PRIMARY KEY(param, low, pid, high)) STRICT, WITHOUT ROWID;
-- unit, low, high: the UCUM canonical form where there is one, else as stated; stated_*: as stated.
-- unit and stated_unit are token_value ids of (system, code or unit); canonical units have system 'ucum:canonical'.
CREATE TABLE quantity(param INTEGER, unit INTEGER, low REAL, pid INTEGER, high REAL,
  stated_unit INTEGER, stated_low REAL, stated_high REAL,
  PRIMARY KEY(param, unit, low, pid, high, stated_unit, stated_low)) STRICT, WITHOUT ROWID;
CREATE TABLE uri(param INTEGER, value INTEGER, pid INTEGER, PRIMARY KEY(param, value, pid)) STRICT, WITHOUT ROWID;
-- target: rid, or -cid for a contained resource; version: of a versioned reference, else 0.
-- References by absolute or canonical URL are rows of `uri` under the same param; where they name a version, the URL
-- with |version is a row under 'code:version'.
CREATE TABLE ref(param INTEGER, target INTEGER, pid INTEGER, version INTEGER,
  PRIMARY KEY(param, target, pid, version)) STRICT, WITHOUT ROWID;
-- the params that `ref` has rows of: who refers to a resource is found by one look-up for each
CREATE TABLE ref_param(param INTEGER PRIMARY KEY) STRICT;
-- first: token value or rid of component 0 (0 if it is of another kind); second: value id, low bound or folded string
-- of component 1; rest: JSON of all components for the residual check.
CREATE TABLE composite(param INTEGER, first INTEGER, second ANY, pid INTEGER, rest TEXT,
  PRIMARY KEY(param, first, second, pid, rest)) STRICT, WITHOUT ROWID;
CREATE TABLE position(param INTEGER, latitude REAL, longitude REAL, pid INTEGER,
  PRIMARY KEY(param, latitude, longitude, pid)) STRICT, WITHOUT ROWID;
-- a contained resource: its index rows stand in the tables above under the '#Type' params with cid in the place of pid.
-- cids and pids come from one sequence, so no cid is ever equal to a pid.
CREATE TABLE contained(cid INTEGER PRIMARY KEY, pid INTEGER NOT NULL, type INTEGER NOT NULL, id TEXT NOT NULL) STRICT;
CREATE INDEX contained_pid ON contained(pid);
CREATE INDEX contained_type ON contained(type);

CREATE INDEX token_pid ON token(pid, param);
CREATE INDEX string_pid ON string(pid, param);
CREATE INDEX date_pid ON date(pid, param);
CREATE INDEX several_dates_pid ON several_dates(pid);
CREATE INDEX date_high ON date(param, high, pid);   -- what lasts beyond an instant, and the order of -date
-- The few rows that are long, so that the others are found by `low` alone.
CREATE INDEX date_long ON date(param, high, pid) WHERE high-low > {LONG};
CREATE INDEX number_pid ON number(pid, param);
-- Ranges and comparators, so that all others are found by `low` alone.
CREATE INDEX quantity_wide ON quantity(param, unit, high) WHERE high > low;
CREATE INDEX quantity_pid ON quantity(pid, param);
CREATE INDEX uri_pid ON uri(pid, param);
CREATE INDEX ref_pid ON ref(pid, param);
CREATE INDEX composite_pid ON composite(pid, param);
CREATE INDEX position_pid ON position(pid, param);

-- declared: JSON of the fields with their numbers, of the patient field and of the version
CREATE TABLE collection(collection INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, declared TEXT NOT NULL) STRICT;
CREATE TABLE record(collection INTEGER, key TEXT, revision INTEGER NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY(collection, key)) STRICT, WITHOUT ROWID;
CREATE TABLE record_field(collection INTEGER, field INTEGER, value ANY, key TEXT,
  PRIMARY KEY(collection, field, value, key)) STRICT, WITHOUT ROWID;
CREATE INDEX record_field_key ON record_field(collection, key);
CREATE TABLE blob(id TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT NOT NULL, patient TEXT) STRICT, WITHOUT ROWID;
{AUDIT_TABLES}{PATIENT_KEY_TABLES}"""
