let asked = {};

function stateOf(device) {
  if (device.status === "offline") return "offline";
  return device.merged_effective_status ?? device.effective_status ?? device.status ?? "unknown";
}

function deviceRow(device) {
  const model = device.model?.name ?? device.model ?? device.kind;
  const place = device.space?.full_path ?? device.room;
  const seen = toneOf(stateOf(device)) === "good" ? "" : since(device.last_seen_at);
  const beside = [model, place, seen && `last seen ${seen}`].filter(Boolean).join(" · ");
  return row(stateOf(device), toneOf(stateOf(device)), device.name ?? device.id, beside);
}

function showDevices(answer) {
  const devices = Array.isArray(answer.items) ? answer.items : [];
  const well = devices.filter((device) => toneOf(stateOf(device)) === "good");
  const offline = devices.filter((device) => ["offline", "disconnected"].includes(stateOf(device)));
  const troubled = devices.filter((device) => !well.includes(device));
  figures(byId("figures"), [
    [answer.has_more ? "on this page" : "devices", devices.length],
    ["well", well.length, "good"],
    ["offline", offline.length, "bad"],
    ["other trouble", troubled.length - offline.length, "warn"],
  ]);
  fill(byId("troubled"), byId("troubled-heading"), troubled.map(deviceRow));
  fill(byId("well"), byId("well-heading"), well.map(deviceRow));
  const more = answer.has_more ? "There are more devices than on this page." : "";
  say(devices.length ? more : "No devices match.");
  if (canCall) showIncidents();
}

async function showIncidents() {
  try {
    const answer = await callTool("list_incidents", { per_page: 25 });
    const open = (answer.items ?? []).filter((incident) => incident.status !== "closed" && incident.status !== "resolved");
    const rows = open.map((incident) =>
      row(
        incident.priority ?? "open",
        incident.priority === "critical" ? "bad" : "warn",
        incident.title ?? incident.issue ?? "Incident",
        [incident.device_name, incident.space_name, since(incident.created_at)].filter(Boolean).join(" · "),
      ),
    );
    fill(byId("incidents"), byId("incidents-heading"), rows);
  } catch (error) {
    say(`The incidents could not be read: ${error.message}`, "warn");
  }
}

byId("refresh").addEventListener("click", () =>
  working(byId("refresh"), "Asking …", async () => showDevices(await callTool(tool(), asked))),
);

function tool() {
  return context.toolInfo?.tool?.name ?? "list_devices";
}

start({ name: "xyte-fleet", onInput: (given) => (asked = given), onResult: showDevices });
