// The replica set and its users, made once; run by mongosh on the loopback of the first member.
// The first is elected: users can be made on who leads alone.
const members = ["mongodb1", "mongodb2", "mongodb3"].map(
  (host, index) => ({_id: index, host: `${host}:27017`, priority: index === 0 ? 2 : 1}),
);
const admin = db.getSiblingDB("admin");

function attempt(action) {
  try { return action(); } catch (error) { print(`${error.codeName}: ${error.message}`); return null; }
}

// Without users yet, the one on loopback may begin; with them the password is asked for.
const begun = attempt(() => admin.auth("root", process.env.MONGODB_ROOT_PASSWORD)) !== null;
if (!begun) {
  attempt(() => rs.initiate({_id: "rs0", members}));
}
for (let tries = 0; tries < 60 && !db.hello().isWritablePrimary && !db.hello().secondary; tries++) sleep(1000);
if (!begun) {
  if (!db.hello().isWritablePrimary) { print("another member leads; trying again"); quit(1); }
  admin.createUser({user: "root", pwd: process.env.MONGODB_ROOT_PASSWORD, roles: ["root"]});
  admin.auth("root", process.env.MONGODB_ROOT_PASSWORD);
}
// Tenants have databases of their own, made and dropped as they come and go: so the roles are those of any database.
const roles = ["readWriteAnyDatabase", "dbAdminAnyDatabase"];
if (db.hello().isWritablePrimary && admin.getUser("fhir") === null) {
  admin.createUser({user: "fhir", pwd: process.env.MONGODB_PASSWORD, roles});
}
quit(admin.getUser("fhir") === null ? 1 : 0);
