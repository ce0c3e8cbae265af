"use strict";
// JSON-RPC with the host over postMessage. Whatever a result says is shown as text, never as markup.
const waiting = new Map();
let lastId = 0;
let context = {};
let canCall = false;

function post(message) {
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}

function ask(method, params) {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    post({ id, method, params });
  });
}

async function callTool(name, given) {
  const result = await ask("tools/call", { name, arguments: given });
  const text = result.content?.[0]?.text ?? "";
  if (result.isError) throw new Error(detailOf(text));
  return contentOf(result);
}

function contentOf(result) {
  if (result.structuredContent) return result.structuredContent;
  try {
    return JSON.parse(result.content?.[0]?.text ?? "{}");
  } catch {
    return {};
  }
}

function detailOf(text) {
  try {
    return JSON.parse(text).detail ?? text;
  } catch {
    return text || "The call failed.";
  }
}

function adopt(news) {
  context = { ...context, ...news };
  const root = document.documentElement;
  if (context.theme === "light" || context.theme === "dark") root.dataset.theme = context.theme;
  for (const [name, value] of Object.entries(news.styles?.variables ?? {})) {
    if (name.startsWith("--") && typeof value === "string") root.style.setProperty(name, value);
  }
}

function tellSize() {
  const { width, height } = document.documentElement.getBoundingClientRect();
  post({ method: "ui/notifications/size-changed", params: { width: Math.ceil(width), height: Math.ceil(height) } });
}

async function start(app) {
  window.addEventListener("message", (event) => {
    const message = event.data;
    if (event.source !== window.parent || message?.jsonrpc !== "2.0") return;
    if (message.method === undefined) {
      const asker = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) asker?.reject(new Error(message.error.message ?? "The host refused."));
      else asker?.resolve(message.result ?? {});
    } else if (message.id !== undefined) {
      const known = message.method === "ping" || message.method === "ui/resource-teardown";
      post(known ? { id: message.id, result: {} } : { id: message.id, error: { code: -32601, message: "Method not found" } });
    } else if (message.method === "ui/notifications/host-context-changed") {
      adopt(message.params ?? {});
    } else if (message.method === "ui/notifications/tool-input") {
      app.onInput?.(message.params?.arguments ?? {});
    } else if (message.method === "ui/notifications/tool-result") {
      const result = message.params ?? {};
      if (result.isError) say(detailOf(result.content?.[0]?.text ?? ""), "bad");
      else app.onResult(contentOf(result));
    } else if (message.method === "ui/notifications/tool-cancelled") {
      say("The call was cancelled.", "muted");
    }
  });
  const greeting = await ask("ui/initialize", {
    appInfo: { name: app.name, version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    protocolVersion: "2026-01-26",
  });
  canCall = Boolean(greeting.hostCapabilities?.serverTools);
  adopt(greeting.hostContext ?? {});
  for (const button of document.querySelectorAll("button")) button.hidden = !canCall;
  post({ method: "ui/notifications/initialized", params: {} });
  new ResizeObserver(tellSize).observe(document.body);
}

// ── What both pages draw ──

function element(name, properties, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function say(text, tone = "muted") {
  const line = byId("said");
  line.className = tone;
  line.textContent = text;
}

function figures(list, counts) {
  list.replaceChildren(
    ...counts.map(([label, number, tone]) =>
      element("li", {}, element("strong", { className: number ? (tone ?? "") : "" }, String(number)), label),
    ),
  );
}

function row(state, tone, what, beside) {
  return element(
    "li",
    {},
    element("span", { className: "what" }, what, beside ? element("small", {}, beside) : null),
    element("span", { className: `state ${tone}` }, state),
  );
}

function fill(list, heading, rows) {
  list.replaceChildren(...rows);
  heading.hidden = rows.length === 0;
}

function since(time) {
  const at = new Date(time);
  if (!time || Number.isNaN(at.valueOf())) return "";
  const options = { dateStyle: "medium", timeStyle: "short" };
  if (context.timeZone) options.timeZone = context.timeZone;
  try {
    return new Intl.DateTimeFormat(context.locale, options).format(at);
  } catch {
    return at.toISOString();
  }
}

const TONES = { ok: "good", online: "good", warning: "warn", error: "bad", offline: "bad", disconnected: "bad" };

function toneOf(state) {
  return TONES[state] ?? "muted";
}

async function working(button, text, work) {
  button.disabled = true;
  say(text);
  try {
    await work();
  } catch (error) {
    say(error.message, "bad");
  } finally {
    button.disabled = false;
  }
}
