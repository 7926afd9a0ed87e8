// A small viewer: studies, series, pictures that the server renders; the wheel scrolls, dragging changes the window.
(async function () {
  "use strict";
  const session = window.viewerSession;
  const windows = {
    "As stored": "",
    "CT lung": "-400,1500,linear",
    "CT bone": "300,1500,linear",
    "CT brain": "40,80,linear",
    "CT abdomen": "40,400,linear",
  };
  const $ = (id) => document.getElementById(id);
  let pictures = [];
  let shown = "";
  let turn = 0;

  function say(text) {
    $("said").textContent = text;
    $("said").hidden = !text;
  }

  function value(row, tag) {
    const found = row[tag] && row[tag].Value && row[tag].Value[0];
    if (found === undefined || found === null) return "";
    return typeof found === "object" ? found.Alphabetic || "" : String(found);
  }

  async function ask(path) {
    const answer = await fetch(session.dicomweb + path, { headers: { Accept: "application/dicom+json" } });
    if (answer.status === 204) return [];
    if (!answer.ok) throw new Error("the server answered " + answer.status);
    return answer.json();
  }

  function button(place, text, note, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text || "(no name)";
    const small = document.createElement("small");
    small.textContent = note;
    made.append(small);
    made.addEventListener("click", async () => {
      for (const other of place.children) other.removeAttribute("aria-current");
      made.setAttribute("aria-current", "true");
      try {
        say("");
        await act();
      } catch (error) {
        say("This could not be shown: " + error.message);
      }
    });
    place.append(made);
    return made;
  }

  async function studies() {
    const wanted = new URLSearchParams(window.location.search).get("StudyInstanceUIDs");
    const only = wanted ? "&StudyInstanceUID=" + encodeURIComponent(wanted) : "";
    const rows = await ask("/studies?limit=100&includefield=00081030" + only);
    if (!rows.length) say("There are no studies that you may see.");
    for (const row of rows) {
      const uid = value(row, "0020000D");
      const note = [value(row, "00080020"), (row["00080061"] && row["00080061"].Value || []).join(" "), value(row, "00081030")];
      const made = button($("studies"), value(row, "00100010"), note.filter(Boolean).join(" · "), () => series(uid));
      if (wanted) made.click();
    }
  }

  async function series(study) {
    $("series").replaceChildren();
    const rows = await ask("/studies/" + study + "/series?includefield=0008103E");
    for (const row of rows) {
      const uid = value(row, "0020000E");
      const title = value(row, "00080060") + " " + (value(row, "0008103E") || value(row, "00200011"));
      button($("series"), title, value(row, "00201209") + " objects", () => open(study, uid));
    }
    if ($("series").firstChild) $("series").firstChild.click();
  }

  async function open(study, uid) {
    const path = "/studies/" + study + "/series/" + uid + "/instances";
    const rows = await ask(path + "?limit=5000&includefield=00280008,00200013");
    rows.sort((a, b) => Number(value(a, "00200013")) - Number(value(b, "00200013")));
    pictures = [];
    for (const row of rows) {
      const frames = Number(value(row, "00280008")) || 1;
      for (let frame = 1; frame <= frames; frame++) pictures.push(path + "/" + value(row, "00080018") + "/frames/" + frame);
    }
    const images = rows.length && value(rows[0], "00280010");
    $("figure").hidden = !images;
    $("report").hidden = Boolean(images);
    if (!images && rows.length) return report(path + "/" + value(rows[0], "00080018"));
    $("slice").max = String(Math.max(pictures.length - 1, 0));
    $("slice").value = String(Math.floor((pictures.length - 1) / 2));
    await draw();
  }

  async function report(path) {
    const answer = await fetch(session.dicomweb + path + "/rendered", { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error("the server answered " + answer.status);
    $("report").srcdoc = await answer.text();
  }

  async function draw() {
    const mine = ++turn;
    const number = Number($("slice").value);
    const query = new URLSearchParams({ viewport: "768,768", quality: "90" });
    if ($("window").value) query.set("window", $("window").value);
    const answer = await fetch(session.dicomweb + pictures[number] + "/rendered?" + query, { headers: { Accept: "image/jpeg" } });
    if (!answer.ok) throw new Error("the server answered " + answer.status);
    const blob = await answer.blob();
    if (mine !== turn) return; // a newer one was asked for meanwhile
    URL.revokeObjectURL(shown);
    shown = URL.createObjectURL(blob);
    $("picture").src = shown;
    $("picture").alt = "Image " + (number + 1) + " of " + pictures.length;
    $("caption").textContent = $("picture").alt + ($("window").value ? " · window " + $("window").value : "");
  }

  function again() {
    draw().catch((error) => say("This could not be shown: " + error.message));
  }

  function step(by) {
    const slice = $("slice");
    slice.value = String(Math.min(Math.max(Number(slice.value) + by, 0), Number(slice.max)));
    again();
  }

  for (const [name, text] of Object.entries(windows)) $("window").append(new Option(name, text));
  $("window").addEventListener("change", again);
  $("slice").addEventListener("input", again);
  $("figure").addEventListener("wheel", (event) => {
    event.preventDefault();
    step(event.deltaY > 0 ? 1 : -1);
  }, { passive: false });
  $("figure").addEventListener("keydown", (event) => {
    if (event.target !== $("figure")) return;
    if (event.key === "ArrowDown" || event.key === "ArrowRight") step(1);
    if (event.key === "ArrowUp" || event.key === "ArrowLeft") step(-1);
  });
  // Dragging: across for the width, up and down for the centre.
  let from = null;
  $("picture").addEventListener("pointerdown", (event) => {
    event.preventDefault();
    from = [event.clientX, event.clientY, ...($("window").value || "40,400,linear").split(",").slice(0, 2).map(Number)];
  });
  window.addEventListener("pointerup", (event) => {
    if (!from || (Math.abs(event.clientX - from[0]) < 3 && Math.abs(event.clientY - from[1]) < 3)) return void (from = null);
    const width = Math.max(1, Math.round(from[3] + (event.clientX - from[0]) * 2));
    const centre = Math.round(from[2] + (event.clientY - from[1]) * 2);
    const text = centre + "," + width + ",linear";
    const own = $("window").querySelector("[data-own]") || $("window").appendChild(new Option());
    own.dataset.own = "1";
    own.value = text;
    own.textContent = "Own: " + centre + " / " + width;
    $("window").value = text;
    from = null;
    again();
  });

  try {
    await studies();
  } catch (error) {
    say("The studies could not be listed: " + error.message);
  }
})();
