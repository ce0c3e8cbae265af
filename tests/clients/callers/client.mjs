// What a TypeScript client sees, one line of JSON: `client.mjs CLIENT`, the task in MATRIX.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const task = JSON.parse(process.env.MATRIX);
const name = process.argv[2];
const NOT_OFFERED = "not offered";
const require = createRequire(`${task.modules}/`);
const load = (path) => import(pathToFileURL(require.resolve(path)));

async function library() {
  if (name === "ts1") {
    const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
    return { Client, Transport: StreamableHTTPClientTransport, options: {} };
  }
  const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(`${task.modules}/@modelcontextprotocol/client/${task.client2}`));
  const options = name === "ts2-auto" ? { versionNegotiation: { mode: "auto" } } : {};
  return { Client, Transport: StreamableHTTPClientTransport, options };
}

const { Client, Transport, options } = await library();

async function connected(headers) {
  const client = new Client({ name: "matrix", version: "1" }, options);
  await client.connect(new Transport(new URL(task.url), { requestInit: { headers } }));
  return client;
}

async function call(client, tool, given, more) {
  const parameters = { name: tool, arguments: given };
  return name === "ts1" ? client.callTool(parameters, undefined, more) : client.callTool(parameters, more);
}

async function offered() {
  const seen = {};
  const client = await connected({ "X-XYTE-API-KEY": task.key });
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  seen.list = tools.includes("list_devices") && tools.includes("send_command") ? "ok" : `${tools.length} tools`;
  const devices = await call(client, "list_devices", { per_page: 2 });
  seen.call = devices.structuredContent?.items?.length === 2 ? "ok" : "no devices";
  const missing = await call(client, "get_device", { device_id: "no-such-device" });
  seen.error = missing.isError && missing.content[0].text.includes("xyte_not_found") ? "ok" : JSON.stringify(missing);
  const heard = [];
  const sent = await call(client, "send_command_async", { device_id: task.device, name: "power_on" });
  const waited = { task_id: sent.structuredContent.id, wait_seconds: 5 };
  const status = await call(client, "get_task_status", waited, { onprogress: (progress) => heard.push(progress) });
  seen.progress = heard.length && !status.isError ? "ok" : `none heard: ${JSON.stringify(status.content)}`;
  const capabilities = client.getServerCapabilities() ?? {};
  seen.resource = NOT_OFFERED;
  if (capabilities.resources) {
    const { resources } = await client.listResources();
    const read = await client.readResource({ uri: resources[0].uri });
    seen.resource = read.contents.length ? "ok" : "empty";
  }
  seen.prompt = NOT_OFFERED;
  if (capabilities.prompts) {
    const [prompt] = (await client.listPrompts()).prompts;
    const given = Object.fromEntries((prompt.arguments ?? []).map((argument) => [argument.name, "Board"]));
    const got = await client.getPrompt({ name: prompt.name, arguments: given });
    seen.prompt = got.messages.length ? "ok" : "empty";
  }
  await client.close();
  return seen;
}

async function refused(headers, words) {
  try {
    await (await connected(headers)).listTools();
  } catch (error) {
    const said = `${error} ${error.code ?? ""} ${error.cause ?? ""}`;
    return words.some((word) => said.includes(word)) ? "ok" : `ok, without a word (${said.slice(0, 60)})`;
  }
  return "was not refused";
}

const seen = await offered();
seen["401"] = await refused({}, ["401", "X-XYTE-API-KEY", "Unauthorized"]);
seen["429"] = await refused({ "X-XYTE-API-KEY": task.exhausted }, ["429", "times a minute"]);
console.log(JSON.stringify(seen));
process.exit(0);
