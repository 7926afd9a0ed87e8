// Drives a server through fhir-kit-client; prints one line of JSON with what it saw.
const loaded = require("fhir-kit-client");
const Client = loaded.default || loaded.Client || loaded;

async function main(baseUrl) {
  const fhir = new Client({ baseUrl });
  const seen = {};
  const statement = await fhir.capabilityStatement();
  seen.version = statement.fhirVersion;
  const created = await fhir.create({ resourceType: "Patient", body: { resourceType: "Patient", name: [{ family: "Kit" }] } });
  const id = created.id;
  created.birthDate = "2001-02-03";
  const updated = await fhir.update({ resourceType: "Patient", id, body: created });
  seen.version2 = updated.meta.versionId;
  const patched = await fhir.patch({
    resourceType: "Patient", id, JSONPatch: [{ op: "add", path: "/gender", value: "unknown" }],
  });
  seen.gender = patched.gender;
  seen.vread = (await fhir.vread({ resourceType: "Patient", id, version: "1" })).meta.versionId;
  seen.history = (await fhir.history({ resourceType: "Patient", id })).total;
  seen.typeHistory = (await fhir.typeHistory({ resourceType: "Patient" })).type;
  seen.systemHistory = (await fhir.systemHistory()).type;
  seen.search = (await fhir.search({ resourceType: "Patient", searchParams: { _id: id } })).total;
  seen.posted = (await fhir.resourceSearch({
    resourceType: "Patient", searchParams: { _id: id }, options: { postSearch: true },
  })).entry.length;
  seen.compartment = (await fhir.compartmentSearch({
    resourceType: "Observation", compartment: { resourceType: "Patient", id: "demo-1" }, searchParams: { _count: 2 },
  })).entry.length;
  const first = await fhir.search({ resourceType: "Observation", searchParams: { _count: 5 } });
  const second = await fhir.nextPage({ bundle: first });
  seen.pages = [first.entry.length, second.entry.length, first.entry[0].resource.id !== second.entry[0].resource.id];
  const bundle = {
    resourceType: "Bundle", type: "transaction",
    entry: [{ resource: { resourceType: "Basic", code: { text: "x" } }, request: { method: "POST", url: "Basic" } }],
  };
  seen.transaction = (await fhir.transaction({ body: bundle })).entry[0].response.status;
  seen.batch = (await fhir.batch({ body: { ...bundle, type: "batch" } })).entry[0].response.status;
  await fhir.delete({ resourceType: "Patient", id });
  try {
    await fhir.read({ resourceType: "Patient", id });
  } catch (error) {
    seen.gone = error.response.status;
    seen.outcome = error.response.data.resourceType;
  }
  console.log(JSON.stringify(seen));
}

main(process.argv[2]).catch((error) => {
  console.error(error.response ? JSON.stringify(error.response.data) : error);
  process.exit(1);
});
