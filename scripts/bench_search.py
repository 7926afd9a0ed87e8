#!/usr/bin/env python3
"""Measure searches in process on a synthetic store, built by SQL in the shape of Synthea's data.

    scripts/bench_search.py --resources 1000000 --folder /tmp/bench [--seconds 2] [--only TEXT] [--explain]

The store is made once and kept in the folder. Each query runs with ever other patients, codes and dates; the first run
of each is reported apart, because it meets a cold cache.
"""

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import apsw

sys.path.insert(0, str(Path(__file__).parent.parent))

from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parser import parse_search
from fhir_server.search.query import Search, Visibility
from fhir_server.settings import Settings
from fhir_server.storage.sqlite import create
from fhir_server.storage.sqlite.connection import connect
from fhir_server.storage.sqlite.search import explain, search_page

BLOCK = 250  # resources of a patient
KINDS = (("Patient", 1), ("Encounter", 15), ("Observation", 138), ("Condition", 15), ("Procedure", 25),
         ("DiagnosticReport", 18), ("Claim", 38))  # fmt: skip
CODES = 200
DAYS = 3_650
START = 1_420_070_400_000_000  # 2015-01-01 in microseconds
DAY = 86_400_000_000
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"

# How each parameter is made: (table, type, code, SQL of the columns after param, condition). `b` is the base table.
HASH = "((b.pid*2654435761)%4294967296)"
BIRTH = f"{START}-(b.patient*7919%30000)*{DAY}"
ROWS = (
    ("token", "Observation", "code", "100+b.code", "1"),
    ("token", "Observation", "combo-code", "100+b.code", "1"),
    ("token", "Observation", "category", "10+(b.code%10>=5)+(b.code%10>=9)", "1"),
    ("token", "Observation", "status", f"20+({HASH}%50=0)", "1"),
    ("token", "Observation", "value-concept", f"1000+{HASH}%30", "b.code%10=9"),
    ("token", "Condition", "code", "100+b.code", "1"),
    ("token", "Condition", "clinical-status", f"30+({HASH}%3=0)", "1"),
    ("token", "Condition", "category", "40", "1"),
    ("token", "Procedure", "code", "100+b.code", "1"),
    ("token", "Procedure", "status", "22", "1"),
    ("token", "DiagnosticReport", "code", "100+b.code", "1"),
    ("token", "DiagnosticReport", "status", "20", "1"),
    ("token", "Encounter", "status", "23", "1"),
    ("token", "Encounter", "class", f"50+{HASH}%4", "1"),
    ("token", "Claim", "status", "24", "1"),
    ("token", "Patient", "gender", "60+b.patient%2", "1"),
    ("token", "Patient", "identifier", "100000+b.patient", "1"),
    ("token", "Patient", "identifier", "10000000+b.patient", "1"),
    ("string", "Patient", "name", "'family'||printf('%04d',b.patient%997),{pid},'Family'||b.patient%997", "1"),
    ("string", "Patient", "family", "'family'||printf('%04d',b.patient%997),{pid},'Family'||b.patient%997", "1"),
    ("string", "Patient", "name", "'given'||printf('%03d',b.patient%499),{pid},'Given'||b.patient%499", "1"),
    ("string", "Patient", "given", "'given'||printf('%03d',b.patient%499),{pid},'Given'||b.patient%499", "1"),
    ("string", "Patient", "address-city", "'city'||b.patient%351,{pid},'City'||b.patient%351", "1"),
    ("string", "Observation", "code:text", "'display of code '||b.code,{pid},''", "1"),
    ("date", "Observation", "date", "b.time,{pid},b.time+1000000", "1"),
    ("date", "Encounter", "date", "b.time,{pid},b.time+1800000000", "1"),
    ("date", "Condition", "onset-date", "b.time,{pid},b.time+1000000", "1"),
    ("date", "Condition", "recorded-date", "b.time,{pid},b.time+1000000", "1"),
    ("date", "Procedure", "date", "b.time,{pid},b.time+900000000", "1"),
    ("date", "DiagnosticReport", "date", "b.time,{pid},b.time+1000000", "1"),
    ("date", "Claim", "created", "b.time,{pid},b.time+1000000", "1"),
    ("date", "Patient", "birthdate", f"{BIRTH},{{pid}},{BIRTH}+{DAY}", "1"),
    ("ref", "Observation", "subject", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Observation", "patient", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Observation", "encounter", "b.patient*250+1+b.visit,{pid},0", "1"),
    ("ref", "Encounter", "subject", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Encounter", "patient", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Condition", "subject", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Condition", "patient", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Condition", "encounter", "b.patient*250+1+b.visit,{pid},0", "1"),
    ("ref", "Procedure", "subject", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Procedure", "patient", "b.patient*250+1,{pid},0", "1"),
    ("ref", "DiagnosticReport", "subject", "b.patient*250+1,{pid},0", "1"),
    ("ref", "DiagnosticReport", "patient", "b.patient*250+1,{pid},0", "1"),
    ("ref", "Claim", "patient", "b.patient*250+1,{pid},0", "1"),
    ("quantity", "Observation", "value-quantity", "6,b.value*1000,{pid},b.value*1000,5,b.value,b.value", "b.code%10<9"),
    ("composite", "Observation", "code-value-quantity",
     "100+b.code,b.value*1000,{pid},json_array(json_array(100+b.code),json_array(6,b.value*1000,b.value*1000,5,b.value,b.value))",
     "b.code%10<9"),
)  # fmt: skip

QUERIES = (
    ("code + date", "Observation?code={code}&date=ge{date}&_count=10"),
    ("system|code + date range", "Observation?code=http://loinc.org|{code}&date=ge{date}&date=lt{later}&_count=10"),
    ("patient + code", "Observation?patient={patient}&code={code}"),
    ("patient, newest first", "Observation?patient={patient}&_sort=-date&_count=50"),
    ("patient + category, newest", "Observation?patient={patient}&category=vital-signs&_sort=-date&_count=20"),
    ("_sort=-date alone", "Observation?_sort=-date&_count=20"),
    ("code, newest first", "Observation?code={code}&_sort=-date&_count=20"),
    ("rare code, oldest first", "Observation?code={rare}&_sort=date&_count=20"),
    ("category + date, newest", "Observation?category=laboratory&date=ge{date}&_sort=-date&_count=20"),
    ("one day of everything", "Observation?date=ge{date}&date=lt{nextday}"),
    ("value alone", "Observation?value-quantity=gt99|http://unitsofmeasure.org|kg&_count=10"),
    ("status of two, newest", "Observation?status=final,amended&_count=20"),
    ("rare status + category", "Observation?status=amended&category=survey&date=lt2016&_count=10"),
    ("one day, eq", "Observation?date={date}"),
    ("code + value", "Observation?code={code}&value-quantity=gt90||kg&_count=10"),
    ("code-value-quantity", "Observation?code-value-quantity={code}$gt90000|http://unitsofmeasure.org|g&_count=10"),
    ("chain to name", "Observation?patient.name=family{name}&_count=10"),
    ("chain to gender + code", "Observation?patient.gender=male&code={code}&_count=10"),
    ("chain, rare code", "Observation?patient.name=family{name}&code={rare}&_count=10"),
    ("_has code", "Patient?_has:Observation:patient:code={code}&_count=10"),
    ("_has rare code + gender", "Patient?_has:Observation:patient:code={rare}&gender=female&_count=10"),
    (
        "_has code + value",
        "Patient?_has:Observation:patient:code-value-quantity={code}$gt99|http://unitsofmeasure.org|kg",
    ),
    ("patient by name", "Patient?name=family{name}"),
    ("patient by family and birth", "Patient?family=family{name}&birthdate=ge1950"),
    ("name contains", "Patient?name:contains=amily{name}"),
    ("patient by identifier", "Patient?identifier={mrn}"),
    ("patient + includes", "Patient?_id={patient}&_revinclude=Observation:patient&_revinclude=Condition:patient"),
    ("code + include", "Observation?code={code}&_include=Observation:patient&_include=Observation:encounter&_count=20"),
    ("gender:not", "Patient?gender:not=male&_count=10"),
    ("date:missing", "Observation?date:missing=true&_count=10"),
    ("encounter missing", "Observation?encounter:missing=false&_count=10"),
    ("code:text", "Observation?code:text=display%20{number}&_count=10"),
    ("status + date", "Observation?status=final&date=le{date}&_count=10"),
    ("category + month", "Observation?category=vital-signs&date=ge{date}&date=lt{month}&_count=10"),
    ("category + month, newest", "Observation?category=vital-signs&date=ge{date}&date=lt{month}&_sort=-date&_count=10"),
    ("two ORs + month", "Observation?code={code},{rare}&status=final,amended&date=ge{date}&date=lt{month}&_count=10"),
    ("everything of a type", "Observation?_count=50"),
    ("total of a type", "Observation?_count=0&_total=accurate"),
    ("total of a code", "Observation?code={code}&_count=0&_total=accurate"),
    ("total of a patient", "Observation?patient={patient}&_count=0&_total=accurate"),
    ("total of code + date", "Observation?code={code}&date=ge{date}&_count=0&_total=accurate"),
    ("estimate of code + date", "Observation?code={code}&date=ge{date}&_count=10&_total=estimate"),
    ("_lastUpdated", "Observation?_lastUpdated=gt{updated}&_count=10"),
    ("system, _lastUpdated", "?_lastUpdated=gt{updated}&_count=10&_type=Patient,Encounter,Observation,Condition"),
    ("sort by code", "Observation?patient={patient}&_sort=code,-date"),
    ("patients by name", "Patient?_sort=name&_count=20"),
    ("two codes, newest", "Observation?code={code},{rare}&_sort=-date&_count=20"),
    ("encounters of a class", "Encounter?class=AMB&date=ge{date}&_count=10"),
    ("active conditions of code", "Condition?code={rare}&clinical-status=active&_count=10"),
)


def build(folder: Path, resources: int, body: int) -> None:
    """Make the store."""
    settings = Settings(durable=False, cache_bytes=1_000_000_000)
    create.prepare(folder, settings)
    connection = connect(folder / "record.db", settings, writer=True)
    connection.execute("PRAGMA journal_mode=off; PRAGMA synchronous=off")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type='index' AND sql LIKE '%_pid ON%' AND sql NOT LIKE '%contained%'"
    ).fetchall()
    indexes += connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE name LIKE 'date_%' AND name<>'date_pid' OR name='quantity_wide'"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    with connection:
        base(connection, resources // BLOCK * BLOCK)
        names(connection)
        log(connection, body)
        for table in ("token", "string", "date", "ref", "quantity", "composite"):
            fill(connection, table)
    connection.execute("DROP TABLE base")
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("PRAGMA journal_mode=wal; PRAGMA wal_checkpoint(truncate)").fetchall()
    connection.close()


def base(connection: apsw.Connection, resources: int) -> None:
    """Make a row for each resource with what its index rows are computed from."""
    place, kinds = 0, []
    for number, (_, count) in enumerate(KINDS, 1):
        kinds.append(f"WHEN place<{place + count} THEN {number}")
        place += count
    connection.execute(f"""
    CREATE TABLE base AS
    WITH RECURSIVE n(pid) AS (SELECT 1 UNION ALL SELECT pid+1 FROM n WHERE pid<{resources}),
    p AS (SELECT pid, (pid-1)/{BLOCK} AS patient, (pid-1)%{BLOCK} AS place,
      ((pid*2654435761+12345)%4294967296)/4294967296.0 AS u FROM n),
    v AS (SELECT *, CASE WHEN place BETWEEN 1 AND 15 THEN place ELSE place%15+1 END AS visit FROM p)
    SELECT pid, patient, visit, CASE {" ".join(kinds)} END AS kind, cast({CODES}*u*u*u AS INTEGER) AS code,
      ((pid*40503)%10007)/100.0 AS value,
      {START}+((patient*7919+visit*104729)%{DAYS})*{DAY}+(pid*7907%86400)*1000000 AS time FROM v""")


def names(connection: apsw.Connection) -> None:
    """Intern types, parameters, systems and tokens."""
    total = "(SELECT count(*) FROM base WHERE kind=?1)"
    for number, (name, _) in enumerate(KINDS, 1):
        connection.execute(f"INSERT INTO type(type,name,total,versions) VALUES(?1,?2,{total},{total})", (number, name))
    for number, key in enumerate(dict.fromkeys((type_, code) for _, type_, code, _, _ in ROWS), 1):
        connection.execute("INSERT INTO param(param,type,code) VALUES(?,?,?)", (number, *key))
    systems = ["", LOINC, UCUM, "ucum:canonical", "urn:mrn", "urn:ssn", "urn:c"]
    connection.executemany("INSERT OR IGNORE INTO system VALUES(?,?)", list(enumerate(systems)))
    coded = {10: "vital-signs", 11: "laboratory", 12: "survey", 20: "final", 21: "amended", 22: "completed",
             23: "finished", 24: "active!", 30: "active", 31: "resolved", 40: "encounter-diagnosis", 50: "AMB",
             51: "EMER", 52: "IMP", 53: "VR", 60: "male", 61: "female"}  # fmt: skip
    tokens = [(value, code, 6) for value, code in coded.items()]
    tokens += [(5, "kg", 2), (6, "g", 3), *((100 + n, f"c{n}", 1) for n in range(CODES))]
    tokens += [(1000 + n, f"answer{n}", 6) for n in range(30)]
    connection.executemany("INSERT INTO token_value VALUES(?,?,?)", tokens)
    connection.execute("INSERT INTO token_value SELECT 100000+patient,'mrn'||patient,4 FROM base WHERE kind=1")
    connection.execute("INSERT INTO token_value SELECT 10000000+patient,'ssn'||patient,5 FROM base WHERE kind=1")


def log(connection: apsw.Connection, body: int) -> None:
    """Write the log: one commit for each patient, a second apart."""
    connection.execute(
        f"INSERT INTO tx SELECT patient+1,1700000000000+patient*1000,pid FROM base WHERE (pid-1)%{BLOCK}=0"
    )
    connection.execute("INSERT INTO resource SELECT pid,kind,'r'||pid,pid FROM base ORDER BY pid")
    connection.execute("""INSERT INTO version(pid,rid,type,version,from_txid,last_updated,method,deleted)
      SELECT pid,pid,kind,1,patient+1,1700000000000+patient*1000,2,0 FROM base ORDER BY pid""")
    text = "x" * max(0, body - 60)
    connection.execute(
        """INSERT INTO body SELECT pid,50,'{"resourceType":"'||name||'","id":"r'||pid||'","meta":{},"x":"'||?||'"}'
        FROM base JOIN type ON type=kind ORDER BY pid""".replace("SELECT pid,50,", "SELECT pid,50,CAST(").replace(
            "||'\"}'", "||'\"}' AS BLOB)"
        ),
        (text,),
    )
    connection.execute("UPDATE meta SET value=(SELECT max(pid) FROM version) WHERE key='pid'")


def fill(connection: apsw.Connection, table: str) -> None:
    """Write the rows of one index table, in the order of its key."""
    parts = []
    for each, type_, code, columns, where in ROWS:
        if each == table:
            columns = columns.format(pid="b.pid") if "{pid}" in columns else f"{columns},b.pid"
            kind = next(n for n, (name, _) in enumerate(KINDS, 1) if name == type_)
            param = f"(SELECT param FROM param WHERE type='{type_}' AND code='{code}')"
            parts.append(f"SELECT {param},{columns} FROM base b WHERE b.kind={kind} AND {where}")
    order = {"token": "1,2,3", "ref": "1,2,3", "string": "1,2,3", "date": "1,2,3", "quantity": "1,2,3,4"}
    connection.execute(f"INSERT INTO {table} {' UNION ALL '.join(parts)} ORDER BY {order.get(table, '1,2,3,4')}")


def chosen(patients: int, dice: random.Random) -> dict[str, str]:
    """Return the values of one run."""
    day = dice.randrange(DAYS - 400)
    date = lambda n: time.strftime("%Y-%m-%d", time.gmtime(START / 1e6 + n * 86_400))  # noqa: E731
    return {
        "code": f"c{int(CODES * dice.random() ** 3)}",
        "number": str(int(CODES * dice.random() ** 3)),
        "rare": f"c{dice.randrange(CODES // 2, CODES)}",
        "date": date(day),
        "later": date(day + 90),
        "month": date(day + 30),
        "nextday": date(day + 1),
        "patient": f"r{dice.randrange(patients) * BLOCK + 1}",
        "name": f"{dice.randrange(997):04d}",
        "mrn": f"urn:mrn|mrn{dice.randrange(patients)}",
        "updated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + dice.randrange(patients))),
    }


def parse(url: str, settings: Settings, registry: ParameterRegistry) -> Search:
    """Parse `Type?query`."""
    type_, _, query = url.partition("?")
    types = (type_,) if type_ else registry.types
    parsed = parse_search(
        tuple(parse_qsl(query, keep_blank_values=True)),
        types=types,
        registry=registry,
        settings=settings,
        visibility=Visibility(),
        now=1_750_000_000_000,
    )
    return parsed.search


@dataclass(frozen=True, slots=True)
class Timed:
    """One run: milliseconds by the clock and of the processor, and the rows of the page."""

    clock: float
    processor: float
    rows: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A store to search, and the dice that choose what for."""

    connection: apsw.Connection
    settings: Settings
    registry: ParameterRegistry
    patients: int
    dice: random.Random

    def search(self, url: str) -> Search:
        """Return a query with values of its own."""
        return parse(url.format(**chosen(self.patients, self.dice)), self.settings, self.registry)

    def once(self, url: str) -> Timed:
        """Run a query once."""
        search = self.search(url)
        clock, processor = time.perf_counter(), time.process_time()
        self.connection.execute("BEGIN")
        page = search_page(self.connection, search, self.settings)
        self.connection.execute("ROLLBACK")
        processor = time.process_time() - processor
        return Timed((time.perf_counter() - clock) * 1000, processor * 1000, len(page.versions))

    def measure(self, url: str, seconds: float) -> list[Timed]:
        """Run a query for some seconds, twenty times at least."""
        found: list[Timed] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or (len(found) < 20 and time.perf_counter() < end + 20):
            found.append(self.once(url))
        return found


def share(values: Iterable[float], part: float) -> float:
    """Return the value below which a part of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def shown(name: str, runs: list[Timed]) -> str:
    """Return the line of one query."""
    clock, processor = [run.clock for run in runs], [run.processor for run in runs]
    return (
        f"{name:30} {clock[0]:8.2f} {share(clock, 0.5):8.2f} {share(clock, 0.99):8.2f} {share(processor, 0.5):8.2f} "
        f"{share(processor, 0.99):8.2f} {len(runs):6} {sum(run.rows for run in runs) / len(runs):6.1f}"
    )


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--resources", type=int, default=300_000)
    options.add_argument("--folder", type=Path, default=Path("/tmp/bench_search"))
    options.add_argument("--body", type=int, default=1_200, help="bytes of a resource")
    options.add_argument("--seconds", type=float, default=1.0, help="time for each query")
    options.add_argument("--only", default="", help="only queries whose name contains this")
    options.add_argument("--explain", action="store_true")
    return options.parse_args()


def main() -> None:
    """Build if need be, then print a line for each query."""
    given = arguments()
    folder = given.folder / str(given.resources)
    if not (folder / "record.db").exists():
        started = time.perf_counter()
        build(folder, given.resources, given.body)
        size = (folder / "record.db").stat().st_size / 1e6
        print(f"built {given.resources} resources in {time.perf_counter() - started:.0f} s, {size:.0f} MB")
    settings = Settings()
    connection = connect(folder / "record.db", settings, writer=False)
    bench = Bench(connection, settings, ParameterRegistry.standard(), given.resources // BLOCK, random.Random(1))
    machine = f"{platform.machine()}, python {platform.python_version()}, sqlite {apsw.sqlite_lib_version()}"
    print(f"{machine}, {given.resources} resources; milliseconds by the clock and of the processor")
    print(f"{'query':30} {'first':>8} {'median':>8} {'p99':>8} {'cpu':>8} {'cpu p99':>8} {'runs':>6} {'rows':>6}")
    for name, url in QUERIES:
        if given.only in name:
            print(shown(name, bench.measure(url, given.seconds)), flush=True)
            if given.explain:
                print(json.dumps(explain(connection, bench.search(url), settings), indent=1))


if __name__ == "__main__":
    main()
