let place = null;
const SURE_FOR_MS = 5000;

function showRoom(answer) {
  place = answer.room?.id ?? place;
  const devices = Object.entries(answer.devices ?? {}).flatMap(([kind, list]) => list.map((device) => ({ kind, ...device })));
  const good = devices.filter((device) => toneOf(device.status) === "good");
  byId("name").textContent = answer.room?.name ?? "Room";
  byId("summary").textContent = [answer.room?.path, answer.summary].filter(Boolean).join(" — ");
  figures(byId("figures"), [
    ["devices", devices.length],
    ["on", devices.filter((device) => device.on === true).length],
    ["well", good.length, "good"],
    ["in trouble", devices.length - good.length, "bad"],
  ]);
  const incidents = (answer.incidents ?? []).map((incident) =>
    row(
      incident.priority ?? "open",
      incident.priority === "critical" ? "bad" : "warn",
      incident.title ?? "Incident",
      [incident.device, since(incident.since)].filter(Boolean).join(" · "),
    ),
  );
  const tickets = (answer.tickets ?? []).map((ticket) => row("ticket", "muted", ticket.title ?? "Ticket", since(ticket.since)));
  fill(byId("incidents"), byId("incidents-heading"), [...incidents, ...tickets]);
  const rows = devices.map((device) => {
    const power = device.on === true ? "on" : device.on === false ? "off" : "";
    return row(device.status ?? "unknown", toneOf(device.status), device.name ?? device.id, [device.kind, power].filter(Boolean).join(" · "));
  });
  fill(byId("devices"), byId("devices-heading"), rows);
  for (const name of ["begin", "end"]) byId(name).disabled = place === null;
  say(answer.notice ?? "", answer.notice ? "warn" : "muted");
}

async function look() {
  showRoom(await callTool("get_room_status", { room: String(place) }));
}

async function act(tool) {
  const answer = await callTool(tool, { room: String(place) });
  const said = answer.summary ?? "Done.";
  await look();
  say(said);
}

byId("refresh").addEventListener("click", () => working(byId("refresh"), "Asking …", look));
byId("begin").addEventListener("click", () =>
  working(byId("begin"), "Starting the room …", () => act("start_meeting_room_preset")),
);

// Equipment turns off: the first press asks, the second one within a few seconds does it.
let sureUntil = 0;
byId("end").addEventListener("click", () => {
  const button = byId("end");
  if (Date.now() > sureUntil) {
    sureUntil = Date.now() + SURE_FOR_MS;
    button.textContent = "Press again to shut down";
    setTimeout(() => (button.textContent = "Shut down …"), SURE_FOR_MS);
    return;
  }
  sureUntil = 0;
  working(button, "Shutting down …", () => act("shutdown_meeting_room"));
});

start({ name: "xyte-room", onInput: (given) => (place = given.room ?? place), onResult: showRoom });
